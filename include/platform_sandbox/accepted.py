"""What the platform accepted: one record a card use without patient data, its tallies, and its journal.

With a journal, a record is on disk (in the kernel's hands: it survives kill -9) before the caller is told.
"""

import csv
import fcntl
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from sys import intern
from typing import NamedTuple

from platform_sandbox.codes import CHANNELS, SCENES
from platform_sandbox.faults import SandboxError

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

STATEMENT_COLUMNS = (
    "医院ID",
    "日期",
    "小时",
    "用卡环节代码",
    "用卡环节",
    "渠道代码",
    "渠道",
    "证件类型",
    "用卡次数",
)


class JournalError(SandboxError):
    """The journal cannot be read or written: the message says which file and why."""


class Record(NamedTuple):
    """One accepted card use. `time` is yyyy-MM-dd HH:mm:ss, `received_at` UTC, `digest` 32 hex digits."""

    app_id: str
    request_id: str
    hospital_id: str
    scene: str
    channel: str
    card_type: str
    department: str
    time: str
    received_at: str
    digest: str


class Slot(NamedTuple):
    """What a statement counts by."""

    hospital_id: str
    day: str
    hour: str
    scene: str
    channel: str
    card_type: str


class Accepted:
    """Records in order of arrival and their tallies; journal: None, or an opened one."""

    def __init__(self, journal: "Journal | None" = None) -> None:
        self.journal = journal
        self._clear()
        if journal is not None:
            try:
                for record in journal.read():
                    self._count(record)
            except JournalError:
                journal.close()
                raise

    def _clear(self) -> None:
        self.records: list[Record] = []
        self.tally: Counter[Slot] = Counter()
        self._digests: dict[str, int] = {}
        self._doubled: Counter[tuple[str, str]] = Counter()

    def add(self, record: Record) -> None:
        """Keep a record, on disk first. OSError leaves everything as it was."""
        if self.journal is not None:
            self.journal.append(record)
        self._count(record)

    def _count(self, record: Record) -> None:
        self.records.append(record)
        day = record.time[:10]
        slot = Slot(record.hospital_id, day, record.time[11:13], record.scene, record.channel, record.card_type)
        self.tally[slot] += 1
        times = self._digests[record.digest] = self._digests.get(record.digest, 0) + 1
        if times == 2:
            self._doubled[record.hospital_id, day] += 1

    def slots(self, hospital_id: str | None, day: str | None) -> dict[Slot, int]:
        """Card uses by slot, of one hospital and day of use where given."""
        return {
            slot: uses
            for slot, uses in self.tally.items()
            if hospital_id in (None, slot.hospital_id) and day in (None, slot.day)
        }

    def doubled(self, hospital_id: str | None, day: str | None) -> int:
        """Events (by digest) that were accepted more than once, under whatever ids."""
        return sum(
            events
            for (hospital, of_day), events in self._doubled.items()
            if hospital_id in (None, hospital) and day in (None, of_day)
        )

    def statement(self, hospital_id: str | None, day: str | None) -> str:
        """The day's statement as the platform's website would offer it: CSV, by hour, scene, channel, card type."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(STATEMENT_COLUMNS)
        for slot, uses in sorted(self.slots(hospital_id, day).items()):
            writer.writerow(
                (
                    slot.hospital_id,
                    slot.day,
                    slot.hour,
                    slot.scene,
                    SCENES[slot.scene],
                    slot.channel,
                    CHANNELS[slot.channel],
                    slot.card_type,
                    uses,
                )
            )
        return text.getvalue()

    def reset(self) -> None:
        """Forget everything, on disk too."""
        if self.journal is not None:
            self.journal.truncate()
        self._clear()

    def close(self) -> None:
        """Release the journal."""
        if self.journal is not None:
            self.journal.close()


class Journal:
    """Append-only file of records, one JSON array a line, one write a record, locked by one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"cannot open the journal {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise JournalError(f"the journal {path} is in use by another sandbox") from None
        self._size = 0

    def read(self) -> Iterator[Record]:
        """Every record; a last line torn by a crash (never acknowledged) is cut off."""
        try:
            with self._path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.endswith(b"\n"):
                        break
                    yield self._record(line, number)
                    self._size += len(line)
            os.ftruncate(self._file, self._size)
        except OSError as error:
            raise JournalError(f"cannot use the journal {self._path}: {error.strerror}; it must be a file") from None

    def _record(self, line: bytes, number: int) -> Record:
        try:
            record = Record(*json.loads(line))
            datetime.fromisoformat(record.received_at)
            known = record.scene in SCENES and record.channel in CHANNELS and all(type(each) is str for each in record)
        except (ValueError, TypeError):
            known = False
        if not known:
            raise JournalError(f"the journal {self._path} is damaged in line {number}: mend it or take another file")
        return record._replace(
            app_id=intern(record.app_id),
            hospital_id=intern(record.hospital_id),
            scene=intern(record.scene),
            channel=intern(record.channel),
            card_type=intern(record.card_type),
            department=intern(record.department),
        )

    def append(self, record: Record) -> None:
        """One record, whole or not at all; OSError if the disk refuses it."""
        line = (_encode(record) + "\n").encode()
        if os.write(self._file, line) != len(line):
            os.ftruncate(self._file, self._size)
            raise OSError(f"the journal {self._path} could not take a whole record")
        self._size += len(line)

    def truncate(self) -> None:
        """Empty the file."""
        os.ftruncate(self._file, 0)
        self._size = 0

    def close(self) -> None:
        """Close the file, and with it the lock."""
        os.close(self._file)
