"""Report: a hospital's day as a page that a manager can sign, and the same figures as JSON beside it.

The page is one file without scripts or anything from elsewhere: it prints to A4, reads on a phone, and survives being
mailed. It holds counts, codes and names of codes; nothing in it says who a patient is.

figures   all that is said, as plain values (the JSON)
page      the values as HTML
charts    the pictures, as SVG
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from card_usage.hospitals import Hospital
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import report_file
from card_usage.report.figures import figures
from card_usage.report.page import render
from card_usage.words import Language


def publish(
    ledger: Ledger, hospital: Hospital, day: date, reports_dir: Path, *, language: Language, now: datetime
) -> tuple[Path, Path]:
    """Write <reports>/<hospital>/<day>/card-usage-<day>.html and .json, each whole or not at all; returns both paths.

    The same day again replaces them. Both are indexed in the ledger, by their path below `reports_dir`.
    """
    with ledger.read() as connection:
        found = figures(connection, hospital, day, language=language, now=now)
    folder = Path(hospital.id) / day.isoformat()
    texts = {
        "html": render(found),
        "json": json.dumps(found, ensure_ascii=False, indent=1) + "\n",
    }
    names = {kind: folder / f"card-usage-{day.isoformat()}.{kind}" for kind in texts}
    for kind, text in texts.items():
        _write(reports_dir / names[kind], text)
    with ledger.write() as connection:
        for kind, name in names.items():
            _index(connection, hospital.id, day, kind, name, now)
    return reports_dir / names["html"], reports_dir / names["json"]


def _write(path: Path, text: str) -> None:
    """Whoever opens the path sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _index(connection: Connection, hospital_id: str, day: date, kind: str, name: Path, now: datetime) -> None:
    key = {"hospital": hospital_id, "day": day, "kind": kind}
    kept = {"path": name.as_posix(), "at": now}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(report_file).values(**key, **kept)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=kept))
