"""A hospital whose HIS has patients, and a region that gives them cards: for tests of upgrades."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import demo_his
import ledgers
from card_usage.files.shipped import SHIPPED
from region import Region, id_number

HOSPITAL = "demo_hospital"


def environment_of(
    here: Region, home: Path, *, uses: int = 60, upgrade: str = "", platform: str = ""
) -> dict[str, str]:
    """The settings of a hospital with the demo's HIS, read seven patients a page. `upgrade`, `platform`: lines of these
    tables of its file."""
    (home / "hospitals").mkdir()
    text = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
    text = text.replace("fetch_size = 5000 ", "fetch_size = 7 ")
    for line in filter(None, platform.splitlines()):
        key = line.partition(" = ")[0]
        kept = [old for old in text.splitlines() if not old.startswith(f"{key} =")]
        text = "\n".join(kept).replace("[platform]\n", f"[platform]\n{line}\n")
    text += f'\n[upgrade]\ncard_list_url = "https://isv.example.org/list"\n{upgrade}\n'
    (home / "hospitals" / "demo_hospital.toml").write_text(text, encoding="utf-8")
    demo_his.create(f"sqlite:///{home}/his.db", [date(2026, 3, 2)], uses, 3)
    connection = {
        "conn_type": "http",
        "host": here.sandbox.url,
        "login": "demo-app-id",
        "password": "demo-app-secret",
        "extra": {"offline_wechat_code": here.offline_code()},
    }
    return {
        "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(home),
        "CARD_USAGE_KEY": ledgers.KEY,
        "CARD_USAGE_HOSPITALS": str(home / "hospitals"),
        "CARD_USAGE_ALIASES": str(SHIPPED / "code_aliases"),
        "AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(connection),
        "AIRFLOW_CONN_DEMO_HIS": f"sqlite:///{home}/his.db",
    }


def patients_in(home: Path) -> int:
    """How many patients the HIS has."""
    with closing(sqlite3.connect(home / "his.db")) as his:
        return int(his.execute("SELECT COUNT(*) FROM SF_BRXXK").fetchone()[0])


def put_patients(home: Path, *patients: tuple[int, str, str | None]) -> None:
    """Patients with key, ID number and telephone, instead of those of the HIS."""
    with closing(sqlite3.connect(home / "his.db")) as his, his:
        his.execute("DELETE FROM SF_BRXXK")
        his.execute("DELETE FROM xt_brwx")
        for patid, number, phone in patients:
            row = (patid, "张示范", "男", "19900307", number, "SF", "01", "示范路", phone)
            his.execute(
                "INSERT INTO SF_BRXXK (patid, hzxm, sex, birth, sfzh, cardtype, mzbm, lxdz, lxdh)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            his.execute("INSERT INTO xt_brwx VALUES (?, ?)", (patid, f"o-{patid}"))


def good_patients(count: int) -> list[tuple[int, str, str | None]]:
    """So many, at most 100, who can all be registered."""
    return [(patid, id_number(patid), f"1380000{patid:04d}") for patid in range(count)]
