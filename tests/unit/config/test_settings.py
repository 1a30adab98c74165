"""Settings come from the environment, once; what is missing is named, what is secret does not show."""

from __future__ import annotations

from pathlib import Path

import pytest
from card_usage.config.keyring import Keyring
from card_usage.config.settings import PageSettings, Settings, hospitals_directory
from card_usage.errors import BadKey, MissingSetting, SettingsError
from card_usage.files.shipped import SHIPPED

KEY = Keyring.new_key("k1")
ENVIRONMENT = {"CARD_USAGE_LEDGER_URL": "postgresql+psycopg://u:Pa55-w0rd@db/ledger", "CARD_USAGE_KEY": KEY}


def test_two_settings_are_enough():
    settings = Settings.from_environment(ENVIRONMENT)
    assert settings.ledger_url == ENVIRONMENT["CARD_USAGE_LEDGER_URL"]
    assert settings.keyring.fingerprint == Keyring.parse(KEY).fingerprint
    assert settings.hospitals == SHIPPED / "hospitals"
    assert settings.aliases == SHIPPED / "code_aliases"
    assert settings.code_tables == SHIPPED / "code_tables"
    assert settings.reports == Path("var/reports")
    assert (settings.hospitals / "demo_hospital.toml").is_file()


def test_aliases_lie_beside_the_hospitals_unless_said_otherwise():
    elsewhere = {**ENVIRONMENT, "CARD_USAGE_HOSPITALS": "/etc/card_usage/hospitals"}
    assert Settings.from_environment(elsewhere).aliases == Path("/etc/card_usage/code_aliases")
    settings = Settings.from_environment({**elsewhere, "CARD_USAGE_ALIASES": "/srv/a", "CARD_USAGE_REPORTS": "/srv/r"})
    assert (settings.aliases, settings.reports) == (Path("/srv/a"), Path("/srv/r"))


def test_an_empty_variable_is_as_good_as_none():
    empty = {"CARD_USAGE_HOSPITALS": "", "CARD_USAGE_ALIASES": "", "CARD_USAGE_REPORTS": ""}
    assert repr(Settings.from_environment({**ENVIRONMENT, **empty})) != ""
    assert Settings.from_environment({**ENVIRONMENT, **empty}).hospitals == SHIPPED / "hospitals"
    assert hospitals_directory(empty) == SHIPPED / "hospitals"


@pytest.mark.parametrize("missing", ["CARD_USAGE_LEDGER_URL", "CARD_USAGE_KEY"])
@pytest.mark.parametrize("left", [{}, {"": ""}, None], ids=["absent", "other", "blank"])
def test_a_missing_setting_is_named_with_its_purpose(missing: str, left: dict[str, str] | None):
    environment = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    environment |= {missing: "  "} if left is None else left
    with pytest.raises(MissingSetting, match=rf"^{missing} is not set: it is needed for .+\.env\.example") as refused:
        Settings.from_environment(environment)
    assert "Pa55" not in str(refused.value)
    assert KEY not in str(refused.value)


def test_migrating_needs_no_key():
    assert Settings.ledger_url_from({"CARD_USAGE_LEDGER_URL": " sqlite:///x.db "}) == "sqlite:///x.db"


def test_a_broken_key_is_said_at_once():
    with pytest.raises(BadKey, match="entry 1"):
        Settings.from_environment({**ENVIRONMENT, "CARD_USAGE_KEY": "secret-but-not-a-key"})


def test_settings_show_neither_password_nor_key():
    settings = Settings.from_environment(ENVIRONMENT)
    assert "Pa55" not in repr(settings)
    assert KEY.partition(":")[2] not in repr(settings)


def test_a_secret_may_stand_in_a_file_and_the_variable_itself_counts_more(tmp_path: Path):
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8-sig")
    without = {name: value for name, value in ENVIRONMENT.items() if name != "CARD_USAGE_KEY"}
    read = Settings.from_environment({**without, "CARD_USAGE_KEY_FILE": str(tmp_path / "key")})
    assert read.keyring.current == Settings.from_environment(ENVIRONMENT).keyring.current
    Settings.from_environment({**ENVIRONMENT, "CARD_USAGE_KEY_FILE": "/nowhere"})
    with pytest.raises(SettingsError, match="CARD_USAGE_KEY_FILE cannot be read") as refused:
        Settings.from_environment({**without, "CARD_USAGE_KEY_FILE": str(tmp_path)})
    assert KEY not in str(refused.value)


def test_pages_need_no_key():
    settings = PageSettings.from_environment({"CARD_USAGE_LEDGER_URL": "sqlite:///x.db"})
    assert (settings.language, "x.db" in repr(settings)) == ("zh", False)
