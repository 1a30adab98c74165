"""Errors: every error this package raises, as one tree. Each says in one line what happened and what to do next.

    CardUsageError
    |-- SettingsError            a setting, connection or file of the configuration is missing or wrong
    |   |-- UnknownHospital
    |   |-- MissingSetting
    |   |-- BadHospitalFile
    |   |-- BadFeedFile
    |   |-- HospitalEnded        days after the last one that the hospital's file names
    |   |-- BadConnection
    |   |-- BadProxy
    |   |-- BadKey
    |   |-- BadLedgerUrl
    |   |-- PlatformChanged
    |   |-- NoRehearsal
    |   |-- AliasesNotWritable
    |   |-- FileUnusable         a file or folder named by an argument or a setting cannot be used
    |   |   `-- NoRight          this user may not read or write it
    |   `-- BadStorePath         a name that leads out of the reports' folder
    |-- CodeTableError           a code table or alias file is inconsistent
    |   |-- CodesDecidedMeanwhile
    |   |-- CodesTaken
    |   |-- DecisionOutdated
    |   `-- BadProposal          a filled-in list of aliases has unusable rows
    |       `-- UnreadableProposal   the file is no list of aliases
    |-- WorkbookUnreadable       a file is no workbook that can be read
    |-- NormalizeError           a value cannot be converted to the standard
    |   `-- UnknownCode
    |-- SourceError              the HIS replica
    |   |-- SourceUnreachable
    |   |   `-- SourceNotProtected   a session would not be encrypted, or with somebody else
    |   |-- SourceDrift
    |   |-- SourceInterrupted
    |   `-- ReplicaBusy
    |-- LedgerError              the ledger database
    |   |-- LedgerUnreachable
    |   |   `-- LedgerNotWritable
    |   |-- LedgerBehind
    |   |-- LedgerReplaced
    |   |-- LedgerAltered
    |   |-- WrongKey
    |   |-- DayKeysLost
    |   `-- DayKeyClosed
    |-- PlatformError            the open platform (never about one event: that is an outcome, not an error)
    |   |-- PlatformUnreachable
    |   |-- PlatformUnreadable
    |   |-- PlatformLimits
    |   |-- RequestRefused       a request is not as the document demands; nothing was sent
    |   |-- RedirectRefused      a way back from the platform's pages that it would refuse, or that brings nothing
    |   |-- FlowBroken           a rehearsed flow did not go as the document says
    |   |-- CallRefused          a call of an interface has no answer that can be used
    |   |-- Misconfigured
    |   |-- PlatformMoved
    |   `-- TokenContested
    |-- UpgradeUnderWay          another process sends this hospital's batches of patients
    |-- PatientListUnusable      a list of patients cannot be read
    |-- DeliveryInterrupted      a delivery's process was asked to end
    |-- ChannelRefused           a notification channel refused a message; it stays in the outbox
    |-- StatementError           a statement of the platform cannot be imported
    |-- PackUnusable             a pack of evidence cannot rebuild a ledger
    |-- DecisionStands           a decision that can no longer be changed
    |-- EvidenceBroken           sealed days and the ledger do not agree
    |-- WarehouseUnreadable      a file of the warehouse is missing or broken
    |-- QuestionRefused          a question to the warehouse names what is not there
    |-- CheckBroken              the quality check itself failed to run
    |-- GateStopped              the quality gate blocks the whole window
    `-- Unforeseen               an error that nobody foresaw, told without its text

The text is `message_template` filled with the keyword arguments it names; a missing or unknown one is a TypeError.
Errors can be pickled, as Airflow and process pools require. Arguments are names, counts, codes and positions. They
never identify a patient: `reason` is the class or code of the cause, not its text, which may quote a value.
"""

from string import Formatter
from typing import ClassVar

from card_usage.plain_text import visible


class CardUsageError(Exception):
    """Base class of all errors of this package. `details` holds the arguments of the message."""

    message_template: ClassVar[str] = "{problem}: {remedy}"

    def __init__(self, **details: object) -> None:
        wanted = {name for _, name, _, _ in Formatter().parse(self.message_template) if name}
        if wanted != details.keys():
            raise TypeError(f"{type(self).__name__} takes exactly {', '.join(sorted(wanted))}")
        self.details = details
        super().__init__(visible(self.message_template.format_map(details)))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.details)


def _rebuilt(kind: type[CardUsageError], details: dict[str, object]) -> CardUsageError:
    """Exceptions are pickled with positional arguments; these take keyword arguments."""
    return kind(**details)


class SettingsError(CardUsageError):
    """A setting, connection or file of the configuration is missing or wrong."""


class UnknownHospital(SettingsError):
    """There is no hospital file of that name."""

    message_template = (
        "no hospital '{hospital}' in {directory}: take one of {known}, or add {directory}/{hospital}.toml"
    )


class MissingSetting(SettingsError):
    """A required environment variable or connection is not set."""

    message_template = "{setting} is not set: it is needed for {purpose}; set it in the environment (see .env.example)"


class BadHospitalFile(SettingsError):
    """A hospital's file holds an invalid value."""

    message_template = "{path}, key '{key}': {problem}; correct it there"


class BadFeedFile(SettingsError):
    """The SQL file of a feed does not keep the conventions of these files."""

    message_template = "{path}: {problem}; correct it there, after the example of include/sql/card_use_view"


class HospitalEnded(SettingsError):
    """Only days after the hospital's last one were asked for."""

    message_template = (
        "{hospital} ended with {end}, nothing of {window} is reported: ask for days up to then, or change 'end' in its "
        "file"
    )


class BadConnection(SettingsError):
    """An Airflow connection cannot be read or does not fit its use. Its value is never quoted: it holds a password."""

    message_template = (
        "connection '{conn_id}' {problem}: correct it in Airflow or in AIRFLOW_CONN_{variable} (URI or JSON, "
        "see .env.example)"
    )


class BadProxy(SettingsError):
    """HTTPS_PROXY, HTTP_PROXY or NO_PROXY cannot be used. A proxy is never quoted: it may hold a password."""

    message_template = (
        "{variable} {problem}: set it to http://proxy.example:3128, or NO_PROXY to the hosts that need none, in the "
        "environment"
    )


class BadKey(SettingsError):
    """CARD_USAGE_KEY cannot be read. The key itself is never quoted."""

    message_template = (
        "CARD_USAGE_KEY, entry {position}, is not `id:base64` or `id:sm4:base64` with a unique id of 1 to 16 "
        "characters and 32 bytes: "
        "make one with `python -m card_usage key`"
    )


class BadLedgerUrl(SettingsError):
    """CARD_USAGE_LEDGER_URL names no supported database."""

    message_template = (
        "CARD_USAGE_LEDGER_URL is no SQLAlchemy URL for SQLite or PostgreSQL ({problem}): use "
        "sqlite:////path/ledger.db or postgresql+psycopg://user:password@host/database"
    )


class PlatformChanged(SettingsError):
    """The connection names another platform than the one that a hospital's events went to."""

    message_template = (
        "{hospital}: the events in this ledger went to {was}, connection '{connection}' names {names}: nothing is read "
        "or sent. Name the old one again; or say what it was: the same platform under another address, with `python -m "
        "card_usage platform move --hospital {hospital}`, or a rehearsal, with `platform forget --hospital {hospital}`"
    )


class NoRehearsal(SettingsError):
    """A rehearsal would go to a platform where it counts, or its ledger stands for another sandbox."""

    message_template = "{hospital}: no rehearsal, nothing was sent: {problem}; {remedy}"


class FileUnusable(SettingsError):
    """A file or folder named by an argument or a setting cannot be read or written."""

    message_template = (
        "{path} cannot be used ({reason}): see that its folder exists, has room and is open to this user; then again"
    )


class NoRight(FileUnusable):
    """The user may not read or write a file or folder that an argument or a setting names."""

    message_template = (
        "{path} cannot be used ({reason}): give this user the right to read and write it, or name another place; "
        "then again"
    )


class AliasesNotWritable(SettingsError):
    """The folder of a hospital's alias files cannot be written."""

    message_template = (
        "{path} cannot be written ({reason}): give this user the right to write there, or set CARD_USAGE_ALIASES to a "
        "folder of its own; nothing was changed"
    )


class CodeTableError(CardUsageError):
    """A code table or alias file is inconsistent: a code or name twice, an unknown parent, an unknown standard code."""

    message_template = "{path}, line {line}, column '{column}': {problem}; {remedy}"


class BadProposal(CodeTableError):
    """Rows of a list of aliases are unusable; `rows` names each cell, its problem and the remedy."""

    message_template = "{file}: {count} cells cannot be used, nothing was changed: {rows}"


class UnreadableProposal(BadProposal):
    """The file is no list of aliases."""

    message_template = "{file}: nothing was changed: {problem}"


class CodesDecidedMeanwhile(CodeTableError):
    """Somebody else decided about the same codes first; `codes` names them, what they mean by now and who said so."""

    message_template = "nothing was changed: {count} codes were decided meanwhile by somebody else: {codes}; look again"


class CodesTaken(CodeTableError):
    """Codes mean something else already, and nobody asked to change that."""

    message_template = "nothing was changed: {count} codes mean something else already: {codes}; {remedy}"


class DecisionOutdated(CodeTableError):
    """A decision leads to a standard code that is no longer in its table."""

    message_template = (
        "{hospital}: it was decided that {table} '{local}' is '{standard}', which is no standard code now: take that "
        "back (`aliases undo --hospital {hospital} --code {table}:{local}`) and decide anew"
    )


class WorkbookUnreadable(CardUsageError):
    """A file is no XLSX workbook, or a torn one. `place`: a row, with its sheet if it is known."""

    message_template = "{file}, row {place}: {problem}; {remedy}"


class NormalizeError(CardUsageError):
    """A value cannot be converted to the standard."""


class UnknownCode(NormalizeError):
    """A local code is neither in the standard table nor among the hospital's aliases."""

    message_template = "'{code}' is not in {table}: `aliases apply`, or add it to code_aliases/{hospital}/{table}.csv"


class SourceError(CardUsageError):
    """Reading the HIS replica failed."""


class SourceUnreachable(SourceError):
    """The replica cannot be reached or refuses the login."""

    message_template = (
        "{hospital}: the HIS database behind connection '{connection}' cannot be reached ({reason}): check the "
        "connection, the network and the read-only login, then run again; nothing is lost"
    )


class SourceNotProtected(SourceUnreachable):
    """TLS to the HIS is required and cannot be had, or its certificate is not accepted."""

    message_template = "{hospital}: the HIS behind connection '{connection}': {reason}"


class SourceDrift(SourceError):
    """The HIS lacks columns that the feed's SQL reads, or their types have changed."""

    message_template = (
        "{hospital}, feed {feed}, column '{column}': {problem}; nothing was staged. Compare with the feed's SQL and "
        "docs/his-contract.md, mend one of the two, then run again"
    )


class SourceInterrupted(SourceError):
    """The row stream broke and all retries are used up."""

    message_template = (
        "{hospital}, feed {feed}: the stream broke after {position} ({reason}) and {tries} tries to resume failed: "
        "run the window again when the replica is steady; rows already staged are not staged twice"
    )


class ReplicaBusy(SourceError):
    """The limits of the hospital's file allow no query of the replica now."""

    message_template = (
        "{hospital}: the replica may not be asked now ({reason}): nothing is wrong, it is tried again later; if this "
        "lasts, change max_parallel_queries or avoid_hours in the hospital's file"
    )


class LedgerError(CardUsageError):
    """The ledger database cannot be used."""


class LedgerUnreachable(LedgerError):
    """The ledger database cannot be reached."""

    message_template = (
        "the ledger at {url} cannot be reached ({reason}): check CARD_USAGE_LEDGER_URL and the database, run again"
    )


class LedgerNotWritable(LedgerUnreachable):
    """The file of a SQLite ledger, or its folder, may not be written by this user."""

    message_template = (
        "the ledger at {url} cannot be written ({reason}): give this user the right to write the file and its folder, "
        "where SQLite keeps a journal beside it, or set CARD_USAGE_LEDGER_URL to another place"
    )


class LedgerBehind(LedgerError):
    """The ledger's schema is older (or newer) than this version of the code."""

    message_template = (
        "the ledger's schema is at {found}, this version needs {wanted}: run `python -m card_usage ledger migrate` "
        "with the version that you deploy, then run again"
    )


class LedgerReplaced(LedgerError):
    """The ledger's file was removed or exchanged while it was open."""

    message_template = (
        "the ledger's file {path} was {what} while it was in use: nothing more is written; put the right one (with its "
        "-wal, or a backup) in its place, then run again: what was under way is sent again under the same request ids"
    )


class LedgerAltered(LedgerError):
    """The ledger holds what this product cannot have written."""

    message_template = (
        "the ledger at {url} holds text that is none: its file is damaged, or somebody altered it past this product; "
        "put a backup in its place, then run again"
    )


class WrongKey(LedgerError):
    """The key of some encrypted fields is not in CARD_USAGE_KEY, or has other bytes under the same id."""

    message_template = (
        "sealed fields name key '{key_id}', which CARD_USAGE_KEY cannot open: put that key back beside the new one"
    )


class DayKeysLost(LedgerError):
    """The folder with the data keys of a ledger is not there."""

    message_template = (
        "the ledger's data keys are not in {path}: mount their folder or set CARD_USAGE_KEY_FOLDER; if they are lost, "
        "make that folder, empty: what they sealed is set aside then, and `stage` reads it from the HIS again"
    )


class DayKeyClosed(LedgerError):
    """A data key was closed while something was being sealed with it."""

    message_template = "data key {key_id} was closed meanwhile, nothing was written: run again"


class PlatformError(CardUsageError):
    """The open platform cannot be used; never about a single event, which has an outcome instead."""


class PlatformUnreachable(PlatformError):
    """The platform does not answer; events in flight are unknown and are sent again under the same request ids."""

    message_template = (
        "the platform at {host} does not answer ({reason}): check the network, the proxy and the IP allow list, then "
        "run again; open events keep their request ids"
    )


class PlatformUnreadable(PlatformError):
    """The platform answers, but not as its document says: `problem` is what came."""

    message_template = (
        "the platform at {host} answers what cannot be read: {problem} ({reason}): see that the connection names the "
        "platform's address and no proxy answers in its place, and show its operator what came; open events keep their "
        "request ids"
    )


class PlatformLimits(PlatformError):
    """The platform, or a gateway in front of it, answers every call that there are too many."""

    message_template = (
        "{hospital}: {problem} ({reason}): ask the platform, or whoever runs the gateway, how many calls a second are "
        "allowed, and set requests_per_second in the hospital file; open events go on by themselves"
    )


class RequestRefused(PlatformError):
    """A request is not as the document demands. Its problems name parameters and sections, never a value."""

    message_template = (
        "{interface}: nothing was sent, {count} parameters are wrong: {problems}; correct them and call again"
    )


class RedirectRefused(PlatformError):
    """An address to which the platform's pages shall lead back, or led back, cannot be used. It is never quoted."""

    message_template = "{problem} (document {section}): correct the address, or register its host"


class FlowBroken(PlatformError):
    """The platform did not do what the document says, in a flow that was rehearsed."""

    message_template = "step {step}: {problem}; see docs/flows.md for what is expected, and the platform's version"


class CallRefused(PlatformError):
    """A call was refused, or its answer cannot be used."""

    message_template = (
        "{interface}: {answer} ({code}, {meaning}), requestId {request_id}: see docs/interfaces.md for what the code "
        "asks for and whether the call may be repeated"
    )


class Misconfigured(PlatformError):
    """The platform refuses every call because of our configuration: credentials, hospital id, rights, signature."""

    message_template = (
        "{hospital}: the platform answers {code} ({meaning}): check appId, appSecret and hospital id in connection and "
        "hospital file, and the hospital's authorization on the platform; nothing more is sent until then"
    )


class PlatformMoved(PlatformError):
    """The hospital was bound to another platform while a delivery was under way."""

    message_template = (
        "{hospital}: its events stand for another platform since this delivery began at {host}; what was under way is "
        "finished and written, {left} events stay due: run the same command again"
    )


class TokenContested(PlatformError):
    """Another system requests tokens with the same appId, and each of its tokens invalidates ours."""

    message_template = (
        "{hospital}: the appToken was replaced {times} times by somebody else who uses the same appId: find the other "
        "system and let only one of the two ask for tokens"
    )


class UpgradeUnderWay(CardUsageError):
    """Another process sends this hospital's batches of patients."""

    message_template = "{hospital}: another process is registering its patients: wait for it, then run the same again"


class PatientListUnusable(CardUsageError):
    """A list of patients cannot be read. No cell is quoted."""

    message_template = "{path}, line {line}: {problem}; nothing was taken in, correct the list (docs/upgrade.md)"


class DeliveryInterrupted(CardUsageError):
    """The process was asked to end (SIGTERM): what was under way is finished and written, the rest was given back."""

    message_template = (
        "{hospital}: interrupted by SIGTERM; every call that was under way is finished and written, {left} events stay "
        "due: run the same command again"
    )


class BadStorePath(SettingsError):
    """The name is empty or leads out of the reports' folder."""

    message_template = "'{name}' is no name of a report: names are relative, without . and .."


class ChannelRefused(CardUsageError):
    """A notification channel refused a message. Its address is never quoted: it is a secret."""

    message_template = (
        "channel '{channel}' did not take the message ({reason}): check the connection of that name, then "
        "`python -m card_usage alerts test`; the message is kept and goes again"
    )


class CheckBroken(CardUsageError):
    """An expectation could not be computed, so there is no verdict about the window."""

    message_template = (
        "{hospital}, window {window}: the quality check could not be made ({expectation}: {reason}): check the ledger "
        "database, then check the window again; nothing was decided"
    )


class GateStopped(CardUsageError):
    """The quality gate blocks delivery of the whole window."""

    message_template = (
        "{hospital}, window {window}: the quality gate stopped delivery ({reasons}): mend the cause or release the "
        "window by hand; the events wait in the ledger"
    )


class StatementError(CardUsageError):
    """A statement file of the platform's website holds an invalid value, or the layout does not fit it."""

    message_template = (
        "{path}, line {line}, field '{field}': {problem}; nothing of this file was imported, mend it and try again"
    )


class PackUnusable(CardUsageError):
    """A pack of evidence cannot be used to rebuild a ledger."""

    message_template = "{pack}: {problem}; {remedy}"


class DecisionStands(CardUsageError):
    """Somebody wants to change a decision under which events have left."""

    message_template = (
        "{hospital}, {window}: {count} events have left under the decision, so it stands: what was sent cannot be "
        "called back. `python -m card_usage pause` holds the rest"
    )


class EvidenceBroken(CardUsageError):
    """A sealed day cannot be sealed again: its rows were changed without a recorded cause."""

    message_template = (
        "{hospital}, {day}: {count} sealed rows were changed in a way that leaves no trace of its own (first: {row}); "
        "find out who changed the ledger, see `python -m card_usage evidence verify`"
    )


class Unforeseen(CardUsageError):
    """An exception that no part of the program expected. Its own text stays behind: it may quote a patient's value."""

    message_template = (
        "an unforeseen error: {error}; nothing is lost: run it again, and if it comes back send this line to the "
        "maintainers of this software"
    )


class WarehouseUnreadable(CardUsageError):
    """A file of the warehouse is missing or is no Parquet."""

    message_template = "a file of the warehouse cannot be read ({reason}): write it anew by `warehouse rebuild`"


class QuestionRefused(CardUsageError):
    """A question names a measure, dimension or value that is not there."""

    message_template = "{problem} ({there})"
