"""Everything that can go wrong, as one tree. Each error says in one line what happened and what to do next.

    CardUsageError
    |-- SettingsError            the pipeline is not set up as it says
    |   |-- UnknownHospital
    |   |-- MissingSetting
    |   |-- BadHospitalFile
    |   |-- BadConnection
    |   |-- BadKey
    |   |-- BadLedgerUrl
    |   |-- AliasesNotWritable
    |   |-- FileUnusable         a file or folder that somebody named, or that settings name
    |   `-- BadStorePath         a name that leads out of the reports' folder
    |-- CodeTableError           a code table or alias file breaks its laws
    |   `-- BadProposal          a filled-in list of aliases has rows that cannot be used
    |       `-- UnreadableProposal   it is no such list at all
    |-- NormalizeError           a value cannot be brought into standard form
    |   `-- UnknownCode
    |-- SourceError              the HIS replica
    |   |-- SourceUnreachable
    |   |-- SourceDrift
    |   |-- SourceInterrupted
    |   `-- ReplicaBusy
    |-- LedgerError              the ledger database
    |   |-- LedgerUnreachable
    |   |-- LedgerBehind
    |   `-- WrongKey
    |-- PlatformError            the open platform (never about one event: that is an outcome, not an error)
    |   |-- PlatformUnreachable
    |   |-- Misconfigured
    |   `-- TokenContested
    |-- ChannelRefused           a message to people was not taken; it stays in the outbox
    |-- StatementError           a statement of the platform cannot be imported
    |-- EvidenceBroken           sealed days and the ledger do not agree
    |-- CheckBroken              the quality check itself could not be made
    `-- GateStopped              quality says that nothing of this window may leave

The text comes from `says`, filled with the keyword arguments that it names: a missing or a stray one is a TypeError at
once. Errors survive pickling, as Airflow and process pools need. Arguments are names, counts, codes and positions; a
value that says who a patient is never belongs in one, and a `reason` is the cause's class or its code, not its text.
"""

from string import Formatter
from typing import ClassVar


class CardUsageError(Exception):
    """Root of all errors that this package raises on purpose. `details` holds what the text was filled with."""

    says: ClassVar[str] = "{problem}: {remedy}"

    def __init__(self, **details: object) -> None:
        wanted = {name for _, name, _, _ in Formatter().parse(self.says) if name}
        if wanted != details.keys():
            raise TypeError(f"{type(self).__name__} takes exactly {', '.join(sorted(wanted))}")
        self.details = details
        super().__init__(self.says.format_map(details))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.details)


def _rebuilt(kind: type[CardUsageError], details: dict[str, object]) -> CardUsageError:
    """Exceptions pickle by position; ours are filled by keyword."""
    return kind(**details)


class SettingsError(CardUsageError):
    """The pipeline is not set up as its settings say."""


class UnknownHospital(SettingsError):
    """No file of that name among the hospitals."""

    says = "no hospital '{hospital}' in {directory}: take one of {known}, or add {directory}/{hospital}.toml"


class MissingSetting(SettingsError):
    """An environment variable or connection that the work needs is not there."""

    says = "{setting} is not set: it is needed for {purpose}; set it in the environment (see .env.example)"


class BadHospitalFile(SettingsError):
    """A hospital's file says something that cannot be."""

    says = "{path}, key '{key}': {problem}; correct it there"


class BadConnection(SettingsError):
    """An Airflow connection cannot be read or does not fit its use. Its value is never quoted: it holds a password."""

    says = (
        "connection '{conn_id}' {problem}: correct it in Airflow or in AIRFLOW_CONN_{variable} (URI or JSON, "
        "see .env.example)"
    )


class BadKey(SettingsError):
    """CARD_USAGE_KEY cannot be read. The key itself is never quoted."""

    says = (
        "CARD_USAGE_KEY, entry {position}, is not `id:base64` with a unique id of 1 to 16 characters and 32 bytes: "
        "make one with `python -m card_usage key`"
    )


class BadLedgerUrl(SettingsError):
    """CARD_USAGE_LEDGER_URL names no database that can hold the ledger."""

    says = (
        "CARD_USAGE_LEDGER_URL is no SQLAlchemy URL for SQLite or PostgreSQL ({problem}): use "
        "sqlite:////path/ledger.db or postgresql+psycopg://user:password@host/database"
    )


class FileUnusable(SettingsError):
    """A file or folder cannot be read or written where somebody named it, or where settings put it."""

    says = "{path} cannot be used ({reason}): see that its folder exists, has room and is open to this user; then again"


class AliasesNotWritable(SettingsError):
    """The folder of a hospital's alias files cannot be written."""

    says = (
        "{path} cannot be written ({reason}): give this user the right to write there, or set CARD_USAGE_ALIASES to a "
        "folder of its own; nothing was changed"
    )


class CodeTableError(CardUsageError):
    """A code table or alias file breaks a law: unique codes, names, parents that exist, aliases to standard codes."""

    says = "{path}, line {line}, column '{column}': {problem}; {remedy}"


class BadProposal(CodeTableError):
    """Rows of a list of aliases cannot be used; `rows` names each cell, what is wrong with it and what to do."""

    says = "{file}: {count} cells cannot be used, nothing was changed: {rows}"


class UnreadableProposal(BadProposal):
    """A list of aliases cannot be read as one."""

    says = "{file}: nothing was changed: {problem}"


class NormalizeError(CardUsageError):
    """A value cannot be brought into standard form."""


class UnknownCode(NormalizeError):
    """A local code that neither the standard table nor the hospital's aliases know."""

    says = "'{code}' is not in {table}: add it to code_aliases/{hospital}/{table}.csv"


class SourceError(CardUsageError):
    """Reading the HIS replica failed."""


class SourceUnreachable(SourceError):
    """The replica cannot be reached or does not let us in."""

    says = (
        "{hospital}: the HIS database behind connection '{connection}' cannot be reached ({reason}): check the "
        "connection, the network and the read-only login, then run again; nothing is lost"
    )


class SourceDrift(SourceError):
    """The HIS no longer has the columns that the feed's SQL was written for."""

    says = (
        "{hospital}, feed {feed}, column '{column}': {problem}; nothing was staged. Compare with the feed's SQL and "
        "docs/his-contract.md, mend one of the two, then run again"
    )


class SourceInterrupted(SourceError):
    """The stream broke and the allowed resumptions are used up."""

    says = (
        "{hospital}, feed {feed}: the stream broke after {position} ({reason}) and {tries} tries to resume failed: "
        "run the window again when the replica is steady; rows already staged are not staged twice"
    )


class ReplicaBusy(SourceError):
    """The hospital's file does not let the replica be asked now."""

    says = (
        "{hospital}: the replica may not be asked now ({reason}): nothing is wrong, it is tried again later; if this "
        "lasts, change max_parallel_queries or avoid_hours in the hospital's file"
    )


class LedgerError(CardUsageError):
    """The ledger database cannot do its work."""


class LedgerUnreachable(LedgerError):
    """The ledger database cannot be reached."""

    says = "the ledger at {url} cannot be reached ({reason}): check CARD_USAGE_LEDGER_URL and the database, run again"


class LedgerBehind(LedgerError):
    """The ledger's schema is older (or newer) than this version of the code."""

    says = (
        "the ledger's schema is at {found}, this version needs {wanted}: run `python -m card_usage ledger migrate` "
        "with the version that you deploy, then run again"
    )


class WrongKey(LedgerError):
    """Sealed fields were made with a key that is not in CARD_USAGE_KEY, or that has other bytes under the same id."""

    says = "sealed fields name key '{key_id}', which CARD_USAGE_KEY cannot open: put that key back beside the new one"


class PlatformError(CardUsageError):
    """The open platform cannot be worked with; this is never about one event."""


class PlatformUnreachable(PlatformError):
    """No answer from the platform; what was in flight is unknown and goes again under the same ids."""

    says = (
        "the platform at {host} does not answer ({reason}): check the network, the proxy and the IP allow list, then "
        "run again; open events keep their request ids"
    )


class Misconfigured(PlatformError):
    """The platform refuses everything for a reason in our settings: credentials, hospital, rights, signature."""

    says = (
        "{hospital}: the platform answers {code} ({meaning}): check appId, appSecret and hospital id in connection and "
        "hospital file, and the hospital's authorization on the platform; nothing more is sent until then"
    )


class TokenContested(PlatformError):
    """Somebody else keeps taking new tokens with our appId, and each of theirs ends ours."""

    says = (
        "{hospital}: the appToken was replaced {times} times by somebody else who uses the same appId: find the other "
        "system and let only one of the two ask for tokens"
    )


class BadStorePath(SettingsError):
    """A name that leads out of the reports' folder, or is none."""

    says = "'{name}' is no name of a report: names are relative, without . and .."


class ChannelRefused(CardUsageError):
    """A channel did not take a message. Its address is never quoted: it is a password."""

    says = (
        "channel '{channel}' did not take the message ({reason}): check the connection of that name, then "
        "`python -m card_usage alerts test`; the message is kept and goes again"
    )


class CheckBroken(CardUsageError):
    """An expectation could not be computed; that says nothing about the day, so nothing is concluded from it."""

    says = (
        "{hospital}, window {window}: the quality check could not be made ({expectation}: {reason}): check the ledger "
        "database, then check the window again; nothing was decided"
    )


class GateStopped(CardUsageError):
    """Quality says that nothing of this window may leave."""

    says = (
        "{hospital}, window {window}: the quality gate stopped delivery ({reasons}): mend the cause or release the "
        "window by hand; the events wait in the ledger"
    )


class StatementError(CardUsageError):
    """A file of the platform's website that says something that cannot be, or a layout that does not fit it."""

    says = "{path}, line {line}, field '{field}': {problem}; nothing of this file was imported, mend it and try again"


class EvidenceBroken(CardUsageError):
    """A sealed day cannot be sealed again, because something of it was changed that may not change."""

    says = (
        "{hospital}, {day}: {count} sealed rows were changed in a way that leaves no trace of its own (first: {row}); "
        "find out who changed the ledger, see `python -m card_usage evidence verify`"
    )
