"""Settings: the environment variables CARD_USAGE_*, read once by the command line or a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from card_usage.config.keyring import Keyring
from card_usage.errors import MissingSetting, SettingsError
from card_usage.files.shipped import OWN_FILES, SHIPPED
from card_usage.files.store import Root, Store
from card_usage.words.catalogue import LANGUAGES, Language


@dataclass(frozen=True, kw_only=True, slots=True)
class PageSettings:
    """What pages need: no key, and a ledger URL whose login can read the lists of reports alone."""

    ledger_url: str = field(repr=False)
    reports: Root | str
    language: Language = "zh"

    @property
    def store(self) -> Store:
        """Where reports are stored."""
        return Store.at(self.reports) if isinstance(self.reports, str) else Store(self.reports)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PageSettings:
        """Read CARD_USAGE_*. Raises MissingSetting or SettingsError."""
        return cls(
            ledger_url=Settings.ledger_url_from(environment),
            reports=_place(environment.get("CARD_USAGE_REPORTS") or "var/reports"),
            language=_language(environment.get("CARD_USAGE_LANGUAGE") or "zh"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Places and keys of an installation. The ledger's URL may hold a password and is left out of the repr."""

    ledger_url: str = field(repr=False)
    keyring: Keyring
    hospitals: Path
    aliases: Path
    reports: Root | str
    team_channels: tuple[str, ...] = ()
    airflow_url: str = ""
    code_tables: Path = SHIPPED / "code_tables"
    statements: Path = Path("var/statements")
    statement_layouts: Path = SHIPPED / "statement_layouts"
    evidence: Path = Path("var/evidence")
    rehearsals: Path = Path("var/rehearsals")
    language: Language = "zh"
    indicators: Path | None = None

    @property
    def store(self) -> Store:
        """Where reports are stored: a folder, a URL, or a path object that the caller has opened already."""
        return Store.at(self.reports) if isinstance(self.reports, str) else Store(self.reports)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read CARD_USAGE_*. Raises MissingSetting, SettingsError or BadKey."""
        hospitals = hospitals_directory(environment)
        return cls(
            ledger_url=cls.ledger_url_from(environment),
            keyring=Keyring.parse(_required(environment, "CARD_USAGE_KEY", "sealing patient fields")).with_folder(
                Path(folder) if (folder := environment.get("CARD_USAGE_KEY_FOLDER")) else None
            ),
            hospitals=hospitals,
            aliases=Path(environment.get("CARD_USAGE_ALIASES") or hospitals.parent / "code_aliases"),
            reports=_place(environment.get("CARD_USAGE_REPORTS") or "var/reports"),
            team_channels=tuple(environment.get("CARD_USAGE_TEAM_CHANNELS", "").replace(",", " ").split()),
            airflow_url=environment.get("AIRFLOW__API__BASE_URL", "").rstrip("/"),
            statements=Path(environment.get("CARD_USAGE_STATEMENTS") or "var/statements"),
            statement_layouts=Path(environment.get("CARD_USAGE_STATEMENT_LAYOUTS") or SHIPPED / "statement_layouts"),
            evidence=Path(environment.get("CARD_USAGE_EVIDENCE") or "var/evidence"),
            rehearsals=Path(environment.get("CARD_USAGE_REHEARSALS") or "var/rehearsals"),
            language=_language(environment.get("CARD_USAGE_LANGUAGE") or "zh"),
            indicators=Path(own) if (own := environment.get("CARD_USAGE_INDICATORS")) else None,
        )

    @staticmethod
    def ledger_url_from(environment: Mapping[str, str]) -> str:
        """CARD_USAGE_LEDGER_URL alone: a migration needs no key. Raises MissingSetting."""
        return _required(environment, "CARD_USAGE_LEDGER_URL", "the delivery ledger")


def hospitals_directory(environment: Mapping[str, str]) -> Path:
    """CARD_USAGE_HOSPITALS, or the hospital files that ship with the project.

    Raises SettingsError if CARD_USAGE_FILES, by which these are checked, names no folder.
    """
    own = environment.get(OWN_FILES)
    if own and not Path(own).is_dir():
        problem = f"{OWN_FILES} names '{own}', which is no folder"
        raise SettingsError(problem=problem, remedy="name the folder that holds sql/ and code_tables/, or leave it out")
    return Path(environment.get("CARD_USAGE_HOSPITALS") or SHIPPED / "hospitals")


def _place(text: str) -> Path | str:
    """A path, or the text itself if it is a URL."""
    return text if "://" in text else Path(text)


def _language(text: str) -> Language:
    for language in LANGUAGES:
        if text == language:
            return language
    raise SettingsError(problem=f"CARD_USAGE_LANGUAGE is '{text}'", remedy=f"set it to one of {', '.join(LANGUAGES)}")


def secret(environment: Mapping[str, str], variable: str) -> str:
    """A variable, or the content of the file that <variable>_FILE names; '' if neither is set. Raises SettingsError."""
    place = environment.get(f"{variable}_FILE", "").strip()
    if not place or environment.get(variable, "").strip():
        return environment.get(variable, "").strip()
    try:
        return Path(place).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsError(
            problem=f"{variable}_FILE cannot be read ({reason})", remedy="name a file that this user can read"
        ) from None


def _required(environment: Mapping[str, str], variable: str, purpose: str) -> str:
    value = secret(environment, variable)
    if not value:
        raise MissingSetting(setting=variable, purpose=purpose)
    return value
