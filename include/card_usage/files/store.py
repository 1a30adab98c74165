"""Store: the place of reports, a local folder or any object storage that a URL names, under the same relative names.

Promises: whoever opens a name gets the old file or the new one, never a part of one; no name leads outside the root. In
a local folder a temporary file takes the place of the old one; object storages replace an object as a whole.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from card_usage.errors import BadStorePath
from card_usage.files.atomic import write_atomically


class Root(Protocol):
    """The root of a store: `pathlib.Path`, `UPath` and Airflow's `ObjectStoragePath` are roots."""

    def __truediv__(self, name: str) -> Any: ...


_LONGEST_PART: Final = 255
_LONGEST: Final = 1024
"""Bytes of a name: file systems take so much of a part, S3 of the whole."""


class Store:
    """Files below one root."""

    def __init__(self, root: Root) -> None:
        self.root = root

    @classmethod
    def at(cls, location: str) -> Store:
        """A folder, or a URL such as s3://bucket/reports, with credentials where its library looks for them."""
        if "://" not in location:
            return cls(Path(location))
        # Not at the top: it loads file systems, and most installations have a folder.
        from upath import UPath

        return cls(UPath(location))

    def location(self, name: str) -> str:
        """Where the file is, for people: a path or a URL."""
        return str(self._path(name))

    def write(self, name: str, content: bytes) -> None:
        """Replace the file's content. Raises OSError, and leaves the old file then."""
        path = self._path(name)
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content, mode=0o644)  # the web server may be another user
        else:
            path.write_bytes(content)

    def read(self, name: str) -> bytes:
        """The file's content. Raises FileNotFoundError."""
        content: bytes = self._path(name).read_bytes()
        return content

    def delete(self, name: str) -> None:
        """Remove the file; one that is gone already is no error."""
        self._path(name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """Names of all files below a folder, sorted; none if there is no such folder."""
        path = self._path(folder)
        if not path.exists():
            return []
        root = str(path)
        found = (str(file)[len(root) :].lstrip("/") for file in path.rglob("*") if file.is_file())
        return sorted(f"{folder}/{name}" for name in found)

    def address(self, name: str) -> str:
        """What a library that reads files itself calls the file: a path, or a URL without the name of a connection."""
        path = self._path(name)
        return str(path) if isinstance(path, Path) else f"{path.protocol}://{path.path.lstrip('/')}"

    @property
    def file_system(self) -> Any:
        """The fsspec file system below `address`; None: this machine's own files."""
        root: Any = self.root
        return None if isinstance(root, Path) else root.fs

    def _path(self, name: str) -> Any:
        parts = PurePosixPath(name).parts
        leads_out = name.startswith("/") or "\\" in name or "\0" in name or {"..", "."} & set(name.split("/"))
        if not parts or leads_out or not _can_be_stored(name):
            raise BadStorePath(name=name)
        path: Any = self.root / "/".join(parts)
        if isinstance(path, Path) and not path.resolve().is_relative_to(Path(str(self.root)).resolve()):
            raise BadStorePath(name=name)
        return path


def _can_be_stored(name: str) -> bool:
    """Whether a file can have this name at all, wherever it is stored."""
    try:
        whole = name.encode()
    except UnicodeEncodeError:
        return False
    return len(whole) <= _LONGEST and all(len(part) <= _LONGEST_PART for part in whole.split(b"/"))
