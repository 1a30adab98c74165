"""Troubles: what is wrong with a hospital now, read off its situation. One function a cause; none reads or writes.

No history is no trouble: a hospital of which nothing was ever staged has none but its set-up, and a volume is compared
only with days that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from card_usage.alerts.incidents import Trouble
from card_usage.alerts.situation import FailedRun, Situation, Unmapped
from card_usage.config.alert_causes import Severity
from card_usage.config.hospital import Hospital
from card_usage.notifications.outbox import State
from card_usage.quality.baseline import expected
from card_usage.quality.verdict_texts import reason_text
from card_usage.windows import DAY, HOUR, instant, local

LEAST_MISSING: Final = 20
"""Events without a field, of one feed and day, below which a share says nothing."""
LEAST_USUAL: Final = 20
"""Events that a feed must usually have for its volume to be judged."""
MANY_REFUSED: Final = 20
DOWN: Final = HOUR
_NAMED: Final = 8


def compared_days(hospital: Hospital, now: datetime) -> frozenset[date]:
    """The days whose volumes `assess` needs: yesterday, and those that it is compared with."""
    day = local(now).date() - DAY
    alike, ordinary = hospital.calendar.comparable(day)
    return frozenset((day, *alike, *ordinary))


def assess(situation: Situation, hospital: Hospital, now: datetime) -> tuple[Trouble, ...]:
    """All troubles present, in no particular order."""
    return tuple(trouble for cause in _CAUSES for trouble in cause(situation, hospital, now))


def of_runs(failed: Sequence[FailedRun]) -> Iterator[Trouble]:
    """Runs of Airflow that failed and were not made good, one trouble a DAG."""
    by_dag: dict[str, list[FailedRun]] = {}
    for run in failed:
        by_dag.setdefault(run.dag_id, []).append(run)
    for dag_id, runs in by_dag.items():
        last = runs[-1]
        yield Trouble(
            cause="dag_failed",
            detail=dag_id,
            severity="critical" if len(runs) >= 3 else "warning",
            count=len(runs),
            since=runs[0].at,
            facts={"dag": dag_id, "run": last.run_id, "task": last.task_id},
        )


def of_channels(states: Sequence[State], now: datetime) -> Iterator[Trouble]:
    """Channels that have taken nothing for some time."""
    for one in states:
        if one.waiting and one.down_since is not None and now - one.down_since >= DOWN:
            hours = int((now - one.down_since) / HOUR)
            yield Trouble(
                cause="channel_down",
                detail=one.name,
                severity="warning",
                count=one.waiting,
                since=one.down_since,
                facts={"channel": one.name, "hours": hours},
            )


def _misconfiguration(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    for hold in situation.holds:
        if hold.kind == "misconfigured":
            waiting = sum(one.events for one in situation.waiting)
            yield Trouble(
                cause="misconfiguration",
                detail="platform",
                severity="critical",
                count=waiting,
                since=hold.set_at,
                facts={"reason": hold.reason},
            )


def _token_contested(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    for hold in situation.holds:
        if hold.kind == "contested":
            yield Trouble(
                cause="token_contested", severity="critical", count=max(1, situation.token_losses), since=hold.set_at
            )


def _quota_exhausted(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    for hold in situation.holds:
        if hold.kind == "quota":
            live = sum(one.events for one in situation.waiting if one.lane == 0)
            yield Trouble(
                cause="quota_exhausted",
                severity="warning" if live else "info",
                count=sum(one.events for one in situation.waiting),
                since=hold.set_at,
                facts={"live": live, "quota": hospital.platform.daily_quota},
            )


def _dag_failed(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    yield from of_runs(situation.failed_runs)


def _gate_held(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    if not situation.held:
        return
    days = sorted({stored.window.day for stored in situation.held}, reverse=True)
    stopped = any(stored.level == "stop" for stored in situation.held)
    worst = max(situation.held, key=lambda stored: (stored.level == "stop", stored.verdict.events))
    against = worst.verdict.withholding[:3]
    yield Trouble(
        cause="gate_held",
        severity="critical" if stopped else "warning",
        count=sum(stored.verdict.events for stored in situation.held),
        since=min(stored.at for stored in situation.held),
        parts=tuple(map(str, days)),
        facts={
            "days": _days(days),
            "reason": "；".join(reason_text(reason, "zh") for reason in against),
            "reason_en": "; ".join(reason_text(reason, "en") for reason in against),
        },
    )


def _expected(situation: Situation, hospital: Hospital, now: datetime) -> datetime | None:
    """Up to where every feed should have been read by now (local)."""
    if situation.first_day is None:
        return None
    until = local(now) - timedelta(hours=hospital.alerts.late_hours)
    whole = until.replace(minute=0, second=0, microsecond=0)
    return whole if hospital.cadence == "hourly" else datetime.combine(until.date(), time())


def _replica_late(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    expected = _expected(situation, hospital, now)
    if expected is None or not situation.reached:
        return
    late = {
        feed: situation.reached[feed]
        for feed in hospital.his.feeds
        if feed in situation.reached and situation.reached[feed] < expected
    }
    if late:
        oldest = min(late.values())
        # Counted from the end of the window that is missing: what has not ended yet is not late.
        cadence = DAY if hospital.cadence == "daily" else HOUR
        hours = int((local(now) - oldest - cadence) / HOUR)
        yield Trouble(
            cause="replica_late",
            severity="critical" if hours >= 24 else "warning",
            count=max(1, hours),
            since=instant(oldest),
            parts=tuple(sorted(late)),
            facts={"feeds": ",".join(sorted(late)), "all": int(len(late) == len(hospital.his.feeds))},
        )


def _provisional_window(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    if situation.provisional:
        oldest = min(one.end for one in situation.provisional)
        feeds = tuple(sorted({one.feed for one in situation.provisional}))
        yield Trouble(
            cause="provisional_window",
            severity="warning",
            count=int((local(now) - oldest) / HOUR),
            since=instant(oldest),
            parts=feeds,
            facts={"feeds": ",".join(feeds)},
        )


def _unmapped_code(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    by_table: dict[str, list[Unmapped]] = {}
    for one in situation.unmapped:
        by_table.setdefault(one.table, []).append(one)
    for table, codes in by_table.items():
        yield Trouble(
            cause="unmapped_code",
            detail=table,
            severity="warning",
            count=sum(one.events for one in codes),
            since=min(one.since for one in codes),
            parts=tuple(dict.fromkeys(one.code or "" for one in codes)),
            facts={
                "table": table,
                "codes": len({one.code for one in codes}),
                "named": "\n".join(f"{one.code or ''}\t{one.local_name or ''}\t{one.events}" for one in codes[:_NAMED]),
            },
        )


def _missing_field(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    rows = {(one.feed, one.day): one.rows for one in situation.totals}
    found: dict[str, list[tuple[str, date, int, float, datetime]]] = {}
    for one in situation.aside:
        share = one.events / max(one.events, rows.get((one.feed, one.day), 0))
        if one.events >= LEAST_MISSING and share >= hospital.alerts.missing_share:
            found.setdefault(one.rule, []).append((one.feed, one.day, one.events, share, one.since))
    for rule, places in found.items():
        worst = max(share for *_, share, _ in places)
        feeds = sorted({feed for feed, *_ in places})
        yield Trouble(
            cause="missing_field",
            detail=rule,
            severity="critical" if worst >= 0.5 else "warning",
            count=sum(events for _, _, events, *_ in places),
            since=min(since for *_, since in places),
            parts=tuple(feeds),
            facts={
                "rule": rule,
                "feeds": ",".join(feeds),
                "share": f"{100 * worst:.0f}%",
                "days": _days(sorted({day for _, day, *_ in places}, reverse=True)),
            },
        )


def _volume_drop(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    day = local(now).date() - DAY
    alike, ordinary = hospital.calendar.comparable(day)
    drop = hospital.alerts.drop_share
    if hospital.calendar.is_holiday(day):
        drop = max(drop, hospital.gate.holiday_drop)
    dropped: list[tuple[str, int, int]] = []
    for feed in hospital.his.feeds:
        by_day = {one.day: one.rows for one in situation.volumes if one.feed == feed}
        usual = expected(*([by_day[one] for one in days if one in by_day] for days in (alike, ordinary)))
        if day not in by_day or usual is None:
            continue
        if usual >= LEAST_USUAL and by_day[day] <= (1 - drop) * usual:
            dropped.append((feed, by_day[day], int(usual)))
    if dropped:
        found, usual = sum(rows for _, rows, _ in dropped), sum(usual for *_, usual in dropped)
        yield Trouble(
            cause="volume_drop",
            severity="critical" if found <= usual // 10 else "warning",
            count=usual - found,
            since=instant(datetime.combine(day, time())),
            parts=tuple(feed for feed, *_ in dropped),
            facts={
                "day": str(day),
                "found": found,
                "usual": usual,
                "named": "\n".join(f"{feed}\t{rows}\t{of}" for feed, rows, of in dropped),
            },
        )


def _undecided(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    for one in situation.undecided:
        refused = one.status == "rejected"
        severity: Severity = "warning" if one.events >= MANY_REFUSED or not refused else "info"
        yield Trouble(
            cause="platform_refuses" if refused else "unconfirmed",
            detail="" if one.result_code is None else str(one.result_code),
            severity=severity,
            count=one.events,
            since=one.since,
            facts={"code": "" if one.result_code is None else str(one.result_code)},
        )


def _delivery_behind(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    if any(hold.kind in ("pause", "drain") for hold in situation.holds):
        return  # somebody wants it so
    withheld = {day for stored in situation.held for day in stored.window.days}
    late = [one for one in situation.waiting if one.late and one.day not in withheld]
    if late:
        since = min(one.since for one in late)
        hours = int((now - since) / HOUR)
        yield Trouble(
            cause="delivery_behind",
            severity="critical" if hours >= 24 else "warning",
            count=sum(one.late for one in late),
            since=since,
            facts={"hours": hours, "limit": hospital.alerts.behind_hours},
        )


def _report_late(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    if situation.first_day is None:
        return
    here = local(now)
    last = here.date() - (DAY if here.time() >= hospital.alerts.report_by else 2 * DAY)
    first = max(situation.first_day, last - 6 * DAY)
    days = [first + DAY * n for n in range((last - first).days + 1)]
    missing = sorted((day for day in days if day not in situation.reports), reverse=True)
    if missing:
        due = datetime.combine(missing[-1] + DAY, hospital.alerts.report_by)
        yield Trouble(
            cause="report_late",
            severity="warning",
            count=len(missing),
            since=instant(due),
            parts=tuple(map(str, missing)),
            facts={"days": _days(missing), "by": f"{hospital.alerts.report_by:%H:%M}"},
        )


def _reconciliation_remainder(situation: Situation, hospital: Hospital, now: datetime) -> Iterator[Trouble]:
    if situation.remainders:
        days = sorted({one.day for one in situation.remainders}, reverse=True)
        yield Trouble(
            cause="reconciliation_remainder",
            severity="critical",
            count=sum(abs(one.events) for one in situation.remainders),
            since=min(one.at for one in situation.remainders),
            parts=tuple(map(str, days)),
            facts={"days": _days(days)},
        )


def _days(days: Sequence[date]) -> str:
    """The newest three, and how many more."""
    return ",".join(map(str, days[:3])) + (f",+{len(days) - 3}" if len(days) > 3 else "")


_CAUSES: Final[tuple[Callable[[Situation, Hospital, datetime], Iterator[Trouble]], ...]] = (
    _misconfiguration,
    _token_contested,
    _quota_exhausted,
    _dag_failed,
    _gate_held,
    _replica_late,
    _provisional_window,
    _unmapped_code,
    _missing_field,
    _volume_drop,
    _undecided,
    _delivery_behind,
    _report_late,
    _reconciliation_remainder,
)
