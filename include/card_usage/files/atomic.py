"""Atomic and private files: whoever opens the path sees the old content or the new one, never a part of it; nobody else
may read it, whatever the umask; and no symbolic link is followed to what it names.

`write_atomically` puts a file of its own in the place of a link. `new_file` and `read_here` refuse one.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import IO

_LINK = "is a symbolic link, which is not followed: put the file itself there"


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace the file's content; nobody may read it at any moment whom `mode` does not let. Raises OSError about the
    path, and leaves the old file then."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _about(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _about(path, error) from None
        raise


def _about(path: Path, error: OSError) -> OSError:
    """The same error about the file that was asked for: nobody knows the temporary one."""
    return OSError(error.errno, error.strerror or type(error).__name__, str(path))


def new_file(path: Path) -> IO[bytes]:
    """A file that is not there yet, open for writing, for its owner alone. Raises OSError, for a link there, too."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.fdopen(os.open(path, flags, 0o600), "wb")
    os.fchmod(file.fileno(), 0o600)
    return file


def read_here(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file. Raises OSError, for a link, a pipe and a device, too, and waits for none."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, _LINK, str(path)) from None
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "is no file", str(path))
        return file.read(most)


def make_private(folder: Path) -> None:
    """Make a folder that nobody else may read, and those above it that are missing, whatever the umask."""
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o700)
        sync_folder(place.parent)


def demand_no_link(folder: Path) -> None:
    """Raises OSError if the folder is a symbolic link, so that nothing is moved to where it leads."""
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "is a symbolic link, which is not followed", str(folder))


def sync_folder(folder: Path) -> None:
    """Bring what was made and removed in a folder to the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
