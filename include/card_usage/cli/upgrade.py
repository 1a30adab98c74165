"""Upgrade: `upgrade` gets cards for patients of a list, in batches (document 2.5): shows first, sends with --yes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from card_usage.cli.arguments import hospital_arguments, whole_number
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command
from card_usage.cli.progress import rows_bar
from card_usage.context import Context
from card_usage.errors import FileUnusable, PatientListUnusable
from card_usage.files.atomic import write_atomically
from card_usage.files.delimited import dict_reader, read_text
from card_usage.interfaces.messages import PatientToRegister
from card_usage.open_platform.advice import advice
from card_usage.open_platform.redirects import activation_url
from card_usage.open_platform.validation import Problem, item_problems
from card_usage.pipeline import bind_platform
from card_usage.upgrade import records, store
from card_usage.upgrade.figures import figures, reconcile
from card_usage.upgrade.page import page
from card_usage.upgrade.patient_list import rows
from card_usage.upgrade.patients import Batched, patient
from card_usage.upgrade.run import Upgraded
from card_usage.upgrade.steps import batched_of, read_his, send_batches
from card_usage.words.catalogue import Words


@dataclass(kw_only=True)
class Listed:
    """A list that was read: the good patients, and the problems of the others by line."""

    rows: int = 0
    twice: int = 0
    good: dict[tuple[str, str], PatientToRegister] = field(default_factory=dict, repr=False)
    bad: list[tuple[int, Problem]] = field(default_factory=list)

    def summary(self) -> dict[str, int]:
        """Counts: rows, good ones, those quarantined, repetitions of a person."""
        quarantined = len({line for line, _ in self.bad})
        return {"rows": self.rows, "good": len(self.good), "quarantined": quarantined, "twice": self.twice}

    def causes(self) -> list[dict[str, object]]:
        """Why rows are quarantined: parameter, the document's message, how many."""
        counts = Counter((problem.path, problem.code, problem.meaning) for _, problem in self.bad)
        return [
            {"parameter": path, "code": code, "means": meaning, "rows": number}
            for (path, code, meaning), number in counts.most_common()
        ]


def _upgrade(invocation: Invocation) -> Result:
    args = invocation.args
    with invocation.context() as context:
        batched = batched_of(context)
        listed = _read(Path(args.file), context, batched) if args.file else Listed()
        output: Output = {}
        if args.file:
            output["list"] = listed.summary()
            if listed.bad:
                output["quarantined"] = listed.causes()
        if args.yes:
            bind_platform(context, now=invocation.now)
        bad = bool(listed.bad)
        if args.his:
            with rows_bar("patients") as on_rows:
                read = read_his(context, now=invocation.now, dry_run=not args.yes, on_rows=on_rows)
            output["HIS"] = {"rows": read.rows, "good": read.good, "quarantined": read.quarantined, **read.changes}
            if read.causes:
                output["quarantined"] = read.by_cause()
            bad = bad or bool(read.causes)
        done = Upgraded()
        if args.yes:
            if listed.good:
                good, hospital, keyring = listed.good.values(), context.hospital.id, context.ledger.keyring
                with context.ledger.write() as writing:
                    output["taken in"] = dict(store.take_in(writing, keyring, hospital, good, invocation.now))
            done = send_batches(context, calls=args.calls)
            output["sent"] = {"calls": done.calls, **done.counts}
        with context.ledger.read() as reading:
            states = store.states(reading, context.hospital.id)
        output["patients"] = states
        words = Words(context.hospital.report.language)
        if done.stopped:
            told = advice(done.code, words) if done.code is not None else "run the same command again later"
            output["stopped"] = f"{done.stopped}: {told}"
        if args.out:
            output["written"] = _write(Path(args.out), context, listed)
        if not args.yes:
            output["next"] = "nothing was sent: add --yes to register them"
    left = states.get("ready", 0) + states.get("batched", 0)
    return Result(settled=args.yes and not left and not done.stopped and not bad, output=output)


def _read(path: Path, context: Context, batched: Batched) -> Listed:
    """Every row of the list, normalized and checked."""
    listed = Listed()
    card_types, tables = context.tables["card_type"], context.tables
    try:
        for line, row in rows(path):
            listed.rows += 1
            one = patient(row, batched, card_types)
            key = (one.id_type, one.id_number)
            if found := item_problems(one, tables, context.hospital.platform.profile):
                listed.bad += [(line, problem) for problem in found]
            elif key in listed.good:
                listed.twice += 1
            else:
                listed.good[key] = one
    except OSError as error:
        raise FileUnusable(path=path, reason=error.strerror or type(error).__name__) from None
    return listed


def _write(folder: Path, context: Context, listed: Listed) -> list[str]:
    """The lines that are quarantined and why, without anything of a patient; the HIS's own keys of the patients who
    are quarantined, and the openIds to send the message to, for this user's eyes alone."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ((line, each.path, each.code, each.meaning, each.hint) for line, each in listed.bad)
    hospital, keyring = context.hospital.id, context.ledger.keyring
    with context.ledger.read() as reading:
        held = list(records.quarantined(reading, keyring, hospital))
        openids = "".join(f"{card['openId']}\n" for card in store.cards(reading, keyring, hospital))
    written = {
        "quarantined.csv": _csv(("行", "参数", "返回码", "说明", "提示"), lines),
        "quarantined-patients.csv": _csv(("院内ID", "参数:返回码"), held),
        "openids.txt": openids.encode(),
    }
    return _private(folder, written)


def _private(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write files for this user's eyes alone; their paths."""
    for name, content in files.items():
        write_atomically(folder / name, content, mode=0o600)
    return [str(folder / name) for name in files]


def _report(invocation: Invocation) -> Result:
    args = invocation.args
    with invocation.context() as context:
        with context.ledger.read() as reading:
            counted = figures(reading, context.hospital.id)
        output: Output = {"report": counted.summary()}
        difference = 0
        if args.his:
            reconciled = reconcile(context)
            output["equation"], difference = reconciled.equation(), reconciled.difference
        if args.out:
            folder = Path(args.out)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / "upgrade.html", page(context.hospital, counted).encode())
            output["written"] = [str(folder / "upgrade.html"), *_of_cards(folder, context, args.encrypted)]
    return Result(settled=not difference, output=output)


def _of_cards(folder: Path, context: Context, encrypted: Path | None) -> list[str]:
    """The openIds of those who are registered, and, where somebody has encrypted these, the links that activate."""
    hospital, keyring = context.hospital, context.ledger.keyring
    with context.ledger.read() as reading:
        open_ids = [card["openId"] for card in store.cards(reading, keyring, hospital.id)]
    files = {"openids.txt": "".join(f"{each}\n" for each in open_ids).encode()}
    if encrypted is not None:
        known = _encrypted(encrypted)
        back = hospital.upgrade.card_list_url
        links = ((each, activation_url(known[each], back)) for each in open_ids if each in known)
        files["activation-links.csv"] = _csv(("openId", "激活链接"), links)
    return _private(folder, files)


def _encrypted(path: Path) -> dict[str, str]:
    """openId -> what the platform takes for it (encryptData, 2.5.5). Raises FileUnusable and PatientListUnusable."""
    try:
        reader = dict_reader(read_text(path), [])
    except OSError as error:
        raise FileUnusable(path=path, reason=error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise PatientListUnusable(path=path.name, line=1, problem="it is no text that can be read") from None
    if not {"openId", "encryptData"} <= set(reader.fieldnames or ()):
        raise PatientListUnusable(path=path.name, line=1, problem="no columns openId, encryptData")
    return {row["openId"].strip(): row["encryptData"].strip() for row in reader if row["openId"] and row["encryptData"]}


def _csv(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(heads)
    writer.writerows(lines)
    return text.getvalue().encode("utf-8-sig")


def add_commands(commands: Commands) -> None:
    """Add `upgrade` and `upgrade-report`."""
    description = "get cards for patients of the HIS or of a list, in batches; shows first, sends with --yes"
    command = add_command(commands, "upgrade", _upgrade, description, hospital_arguments())
    source = command.add_mutually_exclusive_group()
    source.add_argument("--file", metavar="FILE", help="a list, CSV (docs/upgrade.md)")
    source.add_argument("--his", action="store_true", help="everybody whom the HIS knows; neither: go on")
    command.add_argument("--calls", type=whole_number(1, 1_000_000), metavar="N", help="make at most N calls, then end")
    command.add_argument("--yes", action="store_true", help="take them in and send them; without it nothing is done")
    command.add_argument("--out", metavar="FOLDER", help="write who is quarantined and why, and the openIds, there")
    description = "what an upgrade came to, patient by patient; its page, the openIds, the activation links"
    command = add_command(commands, "upgrade-report", _report, description, hospital_arguments())
    command.add_argument("--his", action="store_true", help="read the HIS again and look every patient up")
    command.add_argument("--out", metavar="FOLDER", help="write the page and the openIds there")
    command.add_argument(
        "--encrypted", type=Path, metavar="FILE", help="CSV: openId, encryptData; links are written too"
    )
