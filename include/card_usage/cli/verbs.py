"""Verbs: every verb of the command line with its line of help, and the file of this package that has it.

Help, version and completion need this alone; a verb's file, with all that it imports, is loaded when the verb is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from card_usage.cli.command import Commands

FILES: Final[Mapping[str, Mapping[str, str]]] = {
    "pipeline": {
        "run": "all of the following, in order",
        "preview": "say what a range of days would send and how long it takes; sends nothing",
        "stage": "read the HIS, normalize, judge, write the ledger",
        "check": "let the quality gate look at what is staged",
        "deliver": "send everything due to the platform",
        "reconcile": "count HIS and ledger, name every difference",
        "report": "write each day's report: page, sheets, mail, JSON",
        "redeliver": "send refused events again under new request ids, after a count",
    },
    "rehearsal": {"rehearse": "the same as `run` against a sandbox, with a ledger of its own: nothing of it counts"},
    "acceptance": {"acceptance": "try what the review before go-live asks of interfaces, and write its page"},
    "history": {"history": "days of the past: load them behind everything live, status of a load"},
    "approval": {"decide": "show what the quality gate withholds, and decide: the next delivery follows"},
    "retention": {"purge": "delete what is past its time by the hospitals' files, or list it"},
    "holds": {
        "pause": "stop sending; a running delivery waits for resume",
        "drain": "finish what is under way, then end the running delivery",
        "resume": "lift every hold: pause, drain, quota, misconfigured",
    },
    "code_mapping": {
        "quality": "what is quarantined and why, and what unmapped codes probably mean",
        "aliases": "mend the mapping of local codes",
    },
    "statements": {"statement": "the platform's daily statements: import, take"},
    "evidence": {
        "verified": "how far each feed is proved, and why no further",
        "differences": "the records behind the counts, by class and key",
        "evidence": "the chain over sealed days: make, verify",
    },
    "corrections": {"corrections": "what the HIS refunded or changed after it was sent, for hospital and platform"},
    "alerts": {
        "incidents": "what is wrong now, of every hospital or of one",
        "alerts": "messages about incidents: send, test",
    },
    "report": {
        "report-month": "write a month's report: page, sheets, mail, JSON",
        "report-fleet": "write the page of all hospitals after a day",
    },
    "upgrade": {
        "upgrade": "get cards for patients of the HIS or of a list, in batches; shows first, sends with --yes",
        "upgrade-report": "what an upgrade came to, patient by patient; its page, the openIds, the activation links",
    },
    "cards": {"cards": "health cards of patients, for uses without a QR text: import, release"},
    "usage": {"usage": "usage figures of document 2.7.5 and 2.7.6, of any hospitals and days"},
    "ask": {"ask": "answer a question from the warehouse: measures by dimensions"},
    "warehouse": {"warehouse": "the warehouse of card uses: build, rebuild, compact, check"},
    "platform": {
        "platform": "the platform: check, call any interface, explain a signature; calibrate, move, forget a rehearsal"
    },
    "hospital": {"hospital": "check a hospital's HIS, or begin with a new hospital"},
    "decisions": {
        "decisions": "who did what: every act and decision, the newest first; exit code 1 if it was tampered with"
    },
    "metrics": {"metrics": "the ledger's figures for Prometheus: print, or serve with --listen"},
    "keys": {"keys": "master keys and data keys: status, rotate, retire, destroy"},
    "setup": {"ledger": "the ledger database", "key": "make a fresh key for CARD_USAGE_KEY"},
}
"""File -> its verbs -> help, in the order in which `--help` lists them."""

LOOKING: Final = frozenset(
    {
        *("preview", "quality", "aliases propose", "aliases list", "verified", "differences", "evidence verify"),
        *("corrections", "incidents", "usage", "hospital check", "history status", "decisions"),
        *("platform check", "platform sign", "rehearse", "acceptance", "alerts test", "ask", "warehouse check"),
        *("keys status", "keys retire", "upgrade-report"),
    }
)
"""Verbs that change nothing of the ledger and the platform. Every other one that opens the ledger leaves a row in table
`decision` when it begins (`Invocation`), so that a new verb does, too."""
DECIDING: Final = frozenset(
    {
        *("decide", "pause", "drain", "resume", "redeliver", "aliases apply", "aliases undo"),
        *("platform move", "platform forget"),
    }
)
"""Verbs that decide: they leave their rows in the transaction that decides, with what held before and after; a dry run
leaves none."""


def add_verbs(commands: Commands, named: frozenset[str]) -> None:
    """Add every verb; with arguments of its own only where its file has one of the `named`."""
    for file, verbs in FILES.items():
        if named & verbs.keys():
            add_file(commands, file)
        else:
            for verb, line in verbs.items():
                commands.add_parser(verb, help=line)


def add_file(commands: Commands, file: str) -> None:
    """Add the verbs of one file of this package, with their arguments."""
    import_module(f"card_usage.cli.{file}").add_commands(commands)
