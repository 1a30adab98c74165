"""Day keys: a random data key for each hospital and day, in a file of its own outside of the ledger.

What is sealed and digested of a day's patients is keyed by it alone, so that its destruction leaves nothing readable in
the ledger's pages, logs and backups, even for who has the master key.

    <folder>/<ledger>/<hospital>/<yyyymmdd>.<n>
        <key id>                                    yyyymmdd:xxxxxxx, the end random: no id is ever used twice
        <algorithm> <id of the master key> <base64>     the secret, wrapped by that master key

Promises: a key is used only once its file is on disk, whole (written beside, synced, then linked under its name, which
only one of several writers can do: the others take that one's). A destroyed one is overwritten, synced and unlinked;
the overwriting reaches the medium itself where the file system writes in place. Symbolic links are not followed.
Nothing here asks the ledger: which keys are closed is told to `leave`.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import re
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from secrets import choice, token_hex
from typing import Final, Literal, NamedTuple, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from card_usage.config.keyring import Algorithm, Box, KeyedDigest, Keyring, Sealed
from card_usage.errors import FileUnusable, NoRight, WrongKey
from card_usage.files.atomic import make_private, new_file, read_here, sync_folder

_ID: Final = re.compile(r"(\d{8}):[a-z0-9]{7}")
_NAME: Final = re.compile(r"(\d{8})\.(\d{1,9})")
_BESIDE: Final = re.compile(r"\.?(\d{8})\.(\d{1,9})(?:-[0-9a-f]{16})?")
_LETTERS: Final = string.ascii_lowercase + string.digits


def is_day_key(key_id: str) -> bool:
    """Whether the id is of a data key; a master key's has no colon."""
    return ":" in key_id


class DayKey:
    """A data key at work: `seal`, `open`, and `digest` by a key derived from the same secret (HKDF, RFC 5869)."""

    __slots__ = ("_box", "day", "digest", "id")

    def __init__(self, key_id: str, algorithm: Algorithm, secret: bytes) -> None:
        self.id = key_id
        self.day = _day(key_id)
        self._box = Box(key_id, algorithm, _derived(secret, algorithm, b"card-usage seal v1"))
        self.digest = KeyedDigest(algorithm, _derived(secret, algorithm, b"card-usage digest v1"))

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """Encrypt. `bound_to`: additional authenticated data, which `open` needs again."""
        return self._box.seal(plain, bound_to=bound_to)

    def open(self, blob: bytes, *, bound_to: bytes) -> bytes:
        """Decrypt. Raises WrongKey."""
        return self._box.open(blob, bound_to=bound_to)


class KeyFile(NamedTuple):
    """A data key as it lies in its file. `wrapped`: None: the file is damaged, or its destruction was cut off."""

    hospital: str
    id: str
    path: Path
    algorithm: Algorithm
    wrapped: Sealed | None

    @property
    def day(self) -> date:
        """Whose patients it keys."""
        return _day(self.id)


class HospitalKeys:
    """The data keys of one hospital. `kept`: whether new ones are written down; else they live as long as this does."""

    def __init__(self, keyring: Keyring, home: Path | None, hospital: str, *, kept: bool) -> None:
        self._keyring, self._home, self._hospital, self._kept = keyring, home, hospital, kept
        self._current: dict[date, DayKey] = {}
        self._named: dict[str, DayKey] = {}
        self._left: set[str] = set()

    def current(self, day: date) -> DayKey:
        """The key of this day, made if need be. Raises FileUnusable, or WrongKey if its master key is not there."""
        key = self._current.get(day)
        if key is None:
            key = self._current[day] = self.standing(day) or self._new(day)
        return key

    def standing(self, day: date) -> DayKey | None:
        """The same, if there is one."""
        for file in self._files(day):
            if file.id not in self._left and (key := self._key_of(file)) is not None:
                return key
        return None

    def named(self, key_id: str) -> DayKey | None:
        """The key of this id; None: it is destroyed, lost or damaged. Raises WrongKey without its master key."""
        key = self._named.get(key_id)
        if key is None and _ID.fullmatch(key_id):
            file = next((file for file in self._files(_day(key_id)) if file.id == key_id), None)
            key = file and self._key_of(file)
        return key

    def open(self, sealed: Sealed, *, bound_to: bytes) -> bytes:
        """Decrypt what a data key sealed, or a master key itself, as version 0.2.0 did. Raises WrongKey."""
        if not is_day_key(sealed.key_id):
            return self._keyring.open(sealed, bound_to=bound_to)
        key = self.named(sealed.key_id)
        if key is None:
            raise WrongKey(key_id=sealed.key_id)
        return key.open(sealed.blob, bound_to=bound_to)

    def digest_by(self, key_id: str | None, text: str) -> str | None:
        """Digest of a text by the key of this id (None: the founding key); None if that key is no more."""
        if key_id is None:
            return self._keyring.digest(text)
        key = self.named(key_id)
        return None if key is None else key.digest(text)

    def can_open(self, key_id: str) -> bool:
        """Whether what names this key can be opened at all: else what cannot be opened is no matter of one row."""
        return is_day_key(key_id) or key_id in self._keyring.ids

    def leave(self, key_id: str) -> None:
        """This key is closed: another one is current from now on."""
        self._left.add(key_id)
        self._current = {day: key for day, key in self._current.items() if key.id != key_id}

    def destroy(self, key_id: str) -> None:
        """Overwrite, sync and unlink its file; no harm if there is none."""
        self.leave(key_id)
        self._named.pop(key_id, None)
        if self._home is None:
            return
        folder = self._home / self._hospital
        if folder.is_dir():
            with _locked(folder):
                # Copies that a kill left half way on their way to its name, too.
                for file in _files(folder, self._hospital, key_id[:8], beside=True):
                    if file.id == key_id:
                        _destroy(file.path)

    def _key_of(self, file: KeyFile) -> DayKey | None:
        key = self._named.get(file.id)
        if key is None and file.wrapped is not None:
            if file.wrapped.key_id not in self._keyring.ids:
                raise WrongKey(key_id=file.wrapped.key_id)
            try:
                secret = self._keyring.open(file.wrapped, bound_to=_bound(self._hospital, file.id, file.algorithm))
            except WrongKey:
                return None
            key = self._named[file.id] = DayKey(file.id, file.algorithm, secret)
        return key

    def _files(self, day: date) -> Iterator[KeyFile]:
        if self._home is not None:
            yield from _files(self._home / self._hospital, self._hospital, f"{day:%Y%m%d}")

    def _new(self, day: date) -> DayKey:
        key_id = f"{day:%Y%m%d}:{''.join(choice(_LETTERS) for _ in range(7))}"
        algorithm, secret = self._keyring.algorithm, os.urandom(32)
        if self._home is None or not self._kept:
            key = self._named[key_id] = DayKey(key_id, algorithm, secret)
            return key
        wrapped = self._keyring.seal(secret, bound_to=_bound(self._hospital, key_id, algorithm))
        folder = self._home / self._hospital
        try:
            make_private(folder)
            taken = {file.path.name for file in self._files(day) if self._is_no_use(file)}
            number = next(n for n in range(1, len(taken) + 2) if f"{day:%Y%m%d}.{n}" not in taken)
            _link_new(folder / f"{day:%Y%m%d}.{number}", _content(key_id, algorithm, wrapped))
        except OSError as error:
            raise _unusable(folder, error) from None
        made = self.standing(day)
        if made is None:
            raise FileUnusable(path=folder, reason="a key that was written there is not there")
        return made

    def _is_no_use(self, file: KeyFile) -> bool:
        return file.id in self._left or self._key_of(file) is None


class DayKeys:
    """All data keys of one ledger. `home`: its folder; None: they live as long as this does."""

    def __init__(self, keyring: Keyring, home: Path | None = None) -> None:
        self._keyring, self.home = keyring, home
        self._in_memory: dict[str, HospitalKeys] = {}

    def of(self, hospital: str, *, kept: bool = True) -> HospitalKeys:
        """Those of one hospital. Not `kept`: no file is written; for whoever only compares."""
        if self.home is None:
            made = HospitalKeys(self._keyring, None, hospital, kept=False)
            return self._in_memory.setdefault(hospital, made)
        return HospitalKeys(self._keyring, self.home, hospital, kept=kept)

    def files(self, hospital: str | None = None) -> Iterator[KeyFile]:
        """Every key file, or those of one hospital. Raises FileUnusable."""
        if self.home is None or not self.home.is_dir():
            return
        hospitals = [hospital] if hospital else sorted(path.name for path in self.home.iterdir() if path.is_dir())
        for name in hospitals:
            yield from _files(self.home / name, name, "")

    def rewrap(self) -> int:
        """Wrap every key by the current master key that another one wrapped; returns how many. A kill leaves each file
        as it was or as it is to be. Raises WrongKey, FileUnusable."""
        return sum(self._rewrap(file) for file in list(self.files()))

    def _rewrap(self, file: KeyFile) -> bool:
        if file.wrapped is None or file.wrapped.key_id == self._keyring.current:
            return False
        bound = _bound(file.hospital, file.id, file.algorithm)
        if file.wrapped.key_id not in self._keyring.ids:
            raise WrongKey(key_id=file.wrapped.key_id)
        try:
            secret = self._keyring.open(file.wrapped, bound_to=bound)
        except WrongKey:
            return False  # damaged: `keys status` says so
        again = self._keyring.seal(secret, bound_to=bound)
        try:
            with _locked(file.path.parent):
                if _read(file.path, file.hospital) != file:
                    return False  # destroyed, or wrapped by somebody else meanwhile
                _replace(file.path, _content(file.id, file.algorithm, again))
        except OSError as error:
            raise _unusable(file.path, error) from None
        return True

    def is_whole(self, file: KeyFile) -> bool:
        """Whether the key can be had from its file. Raises WrongKey if its master key is not there."""
        return self.of(file.hospital).named(file.id) is not None


def _day(key_id: str) -> date:
    return datetime.strptime(key_id[:8], "%Y%m%d").date()  # noqa: DTZ007 - a local day


def _derived(secret: bytes, algorithm: Algorithm, purpose: bytes) -> bytes:
    kind: hashes.HashAlgorithm = hashes.SHA256() if algorithm == "aes" else hashes.SM3()
    return HKDF(algorithm=kind, length=32, salt=None, info=purpose).derive(secret)


def _bound(hospital: str, key_id: str, algorithm: Algorithm) -> bytes:
    return f"card-usage day key v1\0{hospital}\0{key_id}\0{algorithm}".encode()


def _content(key_id: str, algorithm: Algorithm, wrapped: Sealed) -> bytes:
    return f"{key_id}\n{algorithm} {wrapped.key_id} {base64.b64encode(wrapped.blob).decode()}\n".encode()


def _files(folder: Path, hospital: str, beginning: str, *, beside: bool = False) -> Iterator[KeyFile]:
    """Files whose name begins so, by day and number. `beside`: those that were being written, too."""
    form = _BESIDE if beside else _NAME
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(folder, error) from None
    found = [(match[1], int(match[2]), name) for name in names if (match := form.fullmatch(name))]
    for _, _, name in sorted(found):
        if name.lstrip(".").startswith(beginning) and (file := _read(folder / name, hospital)) is not None:
            yield file


def _read(path: Path, hospital: str) -> KeyFile | None:
    """A key file; None if it is gone meanwhile."""
    try:
        content = _bytes_of(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    key_id, _, rest = content.decode("utf-8", "replace").partition("\n")
    parts = rest.split()
    if not _ID.fullmatch(key_id):
        return KeyFile(hospital, f"{path.name[:8]}:damaged", path, "aes", None)
    try:
        kind, master, text = parts
        blob = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return KeyFile(hospital, key_id, path, "aes", None)
    if kind not in ("aes", "sm4"):
        return KeyFile(hospital, key_id, path, "aes", None)
    return KeyFile(hospital, key_id, path, cast(Literal["aes", "sm4"], kind), Sealed(master, blob))


def _bytes_of(path: Path) -> bytes:
    return read_here(path, 4096)


def _write_beside(path: Path, content: bytes) -> Path:
    beside = path.with_name(f".{path.name}-{token_hex(8)}")
    with new_file(beside) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return beside


def _link_new(path: Path, content: bytes) -> None:
    """Write a file of this name, unless somebody else has: then theirs stands."""
    beside = _write_beside(path, content)
    try:
        os.link(beside, path)
    except FileExistsError:
        _destroy(beside)
    else:
        beside.unlink()
    sync_folder(path.parent)


def _replace(path: Path, content: bytes) -> None:
    before = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(before).st_size
        _write_beside(path, content).replace(path)
        sync_folder(path.parent)
        _overwrite(before, size)
    finally:
        os.close(before)


def _destroy(path: Path) -> None:
    try:
        opened = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        # The first line stays until the file is gone: by it a destruction that was cut off is found and ended.
        start = os.pread(opened, 4096, 0).find(b"\n") + 1
        _overwrite(opened, os.fstat(opened).st_size, start)
        path.unlink()
    except OSError as error:
        raise _unusable(path, error) from None
    finally:
        os.close(opened)
    sync_folder(path.parent)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else destroys or wraps keys of this folder meanwhile."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _overwrite(opened: int, size: int, start: int = 0) -> None:
    os.pwrite(opened, b"0" * (size - start), start)
    os.fsync(opened)


def _unusable(path: Path, error: OSError) -> FileUnusable:
    kind = NoRight if isinstance(error, PermissionError) else FileUnusable
    return kind(path=path, reason=error.strerror or type(error).__name__)
