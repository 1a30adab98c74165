"""A use with a health card and no QR text takes the one that is known: from an upgrade, a binding or a file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from card_usage.cli.main import main
from card_usage.config.connections import connection_from_environment
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.interfaces.messages import BindCardRelation
from card_usage.ledger import patient_cards
from card_usage.ledger.patient_cards import CardMap, record_key
from card_usage.open_platform.blocking import blocking
from card_usage.standard import qr_texts
from region import Region, id_number, region
from upgrading import HOSPITAL, environment_of, good_patients, put_patients

DAY = "2026-03-02"
DAYS = ["--from", DAY, "--to", DAY]
QR = "AB" * 32 + ":1"


@pytest.fixture
def here() -> Iterator[Region]:
    with region(clock_is_real=True) as opened:
        yield opened


@pytest.fixture
def environment(here: Region, tmp_path: Path) -> dict[str, str]:
    environment = environment_of(here, tmp_path)
    path = tmp_path / "hospitals" / "demo_hospital.toml"
    text = path.read_text(encoding="utf-8").replace("[normalize]\n", "[normalize]\ncards_from_map = true\n")
    path.write_text(text, encoding="utf-8")
    return environment | {"CARD_USAGE_REPORTS": str(tmp_path / "reports")}


def run(environment: dict[str, str], capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main([words[0], *words[1:], "--json"], environment)
    told = capsys.readouterr()
    assert told.out, told.err
    return code, json.loads(told.out)


def put_uses(home: Path, *patids: int) -> None:
    """Registrations with a health card of which the HIS has no QR text, and nothing else that day."""
    with closing(sqlite3.connect(home / "his.db")) as his, his:
        for table in ("GH_GHZDK", "GH_NGHZDK", "SF_BRJSK", "SF_NBRJSK", "SF_MZCFK", "SF_NMZCFK", "YY_JZBRYJK"):
            his.execute(f"DELETE FROM {table}")
        for table in ("YJ_JCBGK", "YJ_JYBGK", "xt_brxx"):
            his.execute(f"DELETE FROM {table}")
        department = his.execute("SELECT ksdm FROM (SELECT id AS ksdm FROM YY_KSBMK) ORDER BY ksdm").fetchone()[0]
        for at, patid in enumerate(patids):
            his.execute(
                "INSERT INTO GH_GHZDK (xh, patid, ghrq, ksdm, ghfs, jlzt, cardtype, qdlx, ybdm)"
                " VALUES (?, ?, ?, ?, 0, 0, 'JK', 'CK', '201')",
                (at + 1, patid, f"202603021{at % 10}:00:00", department),
            )


def statuses(home: Path) -> dict[str, int]:
    with closing(sqlite3.connect(home / "ledger.db")) as ledger:
        return dict(ledger.execute("SELECT status, COUNT(*) FROM event GROUP BY status").fetchall())


def staged(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["stage", "--hospital", HOSPITAL, *DAYS], environment)
    capsys.readouterr()


def test_an_upgrade_releases_the_uses_that_waited_for_a_card(
    environment: dict[str, str], here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    put_patients(tmp_path, *good_patients(5))
    put_uses(tmp_path, 0, 1, 2)
    staged(environment, capsys)
    before = statuses(tmp_path)
    assert before == {"quarantined": 3}, before
    run(environment, capsys, "upgrade", "--hospital", HOSPITAL, "--his", "--yes")
    _, told = run(environment, capsys, "cards", "release", "--hospital", HOSPITAL, *DAYS, "--dry-run")
    assert told["release"]["released"] == 3, told["release"]["waiting"]
    assert statuses(tmp_path) == {"quarantined": 3}
    _, told = run(environment, capsys, "cards", "release", "--hospital", HOSPITAL, *DAYS)
    assert told["release"]["released"] == 3, told["release"]["waiting"]
    assert statuses(tmp_path) == {"ready": 3}
    staged(environment, capsys)  # reading the HIS again changes nothing
    assert statuses(tmp_path) == {"ready": 3}
    main(["run", "--hospital", HOSPITAL, *DAYS], environment)
    capsys.readouterr()
    assert statuses(tmp_path) == {"delivered": 3}
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        supplied = ledger.execute("SELECT COUNT(*) FROM finding WHERE rule = 'qr_code_text.supplied'").fetchone()[0]
        changed = ledger.execute("SELECT COUNT(*) FROM event WHERE changed_at IS NOT NULL").fetchone()[0]
    assert (supplied, changed) == (3, 0)
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "reports").rglob("*.html")]
    assert any("取自已知的健康卡" in page for page in pages)


def test_cards_from_a_file_serve_by_number_and_by_the_hospitals_own_id_and_bad_lines_are_named(
    environment: dict[str, str], here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    put_patients(tmp_path, *good_patients(4))
    run(environment, capsys, "upgrade", "--hospital", HOSPITAL, "--his", "--yes", "--calls", "1")
    file = tmp_path / "cards.csv"
    dynamic = "CD" * 32 + ":0:" + "EF" * 8 + "::1"
    file.write_text(
        "证件号码,院内ID,二维码文本,健康卡ID\n"
        f"{id_number(70)},,{QR},\n"
        f",77,{QR.replace('AB', 'BA')},\n"
        f"{id_number(72)},,{dynamic},\n"
        f"123,,{QR},\n",
        encoding="utf-8",
    )
    code, told = run(environment, capsys, "cards", "import", "--hospital", HOSPITAL, "--file", str(file))
    assert code == 1
    assert told["file"] == {"rows": 4, "new": 2, "known": 0, "unusable": 2}
    assert [bad["line"] for bad in told["unusable"]] == [4, 5]
    assert told["cards"] == {"upgrade": 4, "import": 2}
    assert id_number(72) not in json.dumps(told)
    with Context.open(HOSPITAL, _settings(environment), lambda _: None) as context:  # type: ignore[arg-type,return-value]
        found = CardMap.of(context.ledger, context.hospital)
        assert found is not None
        assert found.qr_code_text(id_number(70)) == QR
        assert found.qr_code_text(id_number(72)) is None
        assert found.qr_code_text("12") is None
    _, told = run(environment, capsys, "cards", "import", "--hospital", HOSPITAL, "--file", str(file))
    assert told["file"]["known"] == 2
    content = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert QR.encode() not in content


def test_a_binding_is_remembered_and_leads_through_the_record_to_the_person(
    environment: dict[str, str], here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    card = here.register(3)["qrCodeText"]
    put_patients(tmp_path, (300, id_number(3), "13800000003"))
    with Context.open(HOSPITAL, _settings(environment), _connections(environment)) as context:
        keyring = context.ledger.keyring
        connection = context.connection_of(context.hospital.platform.connection)
        with blocking(context.ledger, context.hospital, connection=connection, tables=context.tables) as platform:
            assert platform.call(BindCardRelation(patid="300", qr_code_text=card)).result().result
        found = CardMap(context.ledger, HOSPITAL)
        static = not getattr(qr_texts.parsed(card), "dynamic", True)
        assert static
        assert found.qr_code_text(id_number(3)) is None  # nobody knows yet whose record that is
        with context.ledger.read() as reading:
            assert record_key(keyring, HOSPITAL, "300") in patient_cards.known(
                reading, keyring, HOSPITAL, [record_key(keyring, HOSPITAL, "300")]
            )
    run(environment, capsys, "upgrade", "--hospital", HOSPITAL, "--his", "--yes", "--calls", "1")
    with Context.open(HOSPITAL, _settings(environment), _connections(environment)) as context:
        assert CardMap(context.ledger, HOSPITAL).qr_code_text(id_number(3)) == card


def test_without_the_setting_a_use_waits_and_the_command_says_what_to_write(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "hospitals" / "demo_hospital.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("cards_from_map = true\n", ""), encoding="utf-8")
    assert main(["cards", "release", "--hospital", HOSPITAL, *DAYS], environment) == 2
    assert "cards_from_map = true" in capsys.readouterr().err


def _settings(environment: dict[str, str]) -> Any:
    return Settings.from_environment(environment)


def _connections(environment: dict[str, str]) -> Any:
    return lambda conn_id: connection_from_environment(conn_id, environment)
