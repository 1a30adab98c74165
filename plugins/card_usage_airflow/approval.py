"""Approval: asks a person in the Airflow UI about a withheld window, and records the decision in the ledger.

The task creates the form and waits in the triggerer for the answer, or for the hospital's default once the deadline has
passed. The ledger decides: a window that was decided elsewhere, corrected or checked again meanwhile needs no answer
any more, so the form closes by itself, and an answer to an outdated form has no effect.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import TaskAwaitingInput
from card_usage.config.hospital import Hospital
from card_usage.words.catalogue import Words

from card_usage_airflow.runs import present, window_from
from card_usage_airflow.task_context import open_context

if TYPE_CHECKING:
    from card_usage.quality.verdicts import Decision


class Approval(HITLOperator):
    """Asks about one withheld window. Returns window, decision and by; decision None: there was nothing to decide."""

    template_fields: Collection[str] = ("window",)

    def __init__(self, *, hospital: Hospital, window: Any, **kwargs: Any) -> None:
        words = Words(hospital.report.language)
        offered: tuple[Decision, ...] = ("released", "clean", "rejected")
        self.decisions = {words(f"gate.decision.{decision}"): decision for decision in offered}
        # Placeholders: `execute` fills in subject and body from the ledger.
        super().__init__(
            subject=hospital.label,
            body=hospital.label,
            options=list(self.decisions),
            defaults=words(f"gate.decision.{hospital.gate.undecided}"),
            response_timeout=timedelta(hours=hospital.gate.decide_within_hours),
            **kwargs,
        )
        self.hospital_id = hospital.id
        self.window = window
        self.by_deadline = words("decide.deadline")

    def execute(self, context: Context) -> Any:
        """Create the form with the present counts and defer; ends at once if there is nothing to decide any more."""
        from card_usage.quality.approval import ask_for_decision, verdicts_of

        with open_context(self.hospital_id) as opened:
            verdicts = verdicts_of(opened.ledger, self.hospital_id, window_from(self.window))
            given = next((verdict for verdict in verdicts if verdict.awaits_decision), None)
            if given is None:
                return self._decided_elsewhere()  # a retry, too, of a try that Airflow lost after the decision
            asked = ask_for_decision(opened.ledger, opened.hospital, given, now=present())
        self.subject, self.body = asked.subject, asked.body
        self._ask(context, present() + (self.response_timeout or timedelta()))

    def _ask(self, context: Context, until: datetime) -> None:
        """Show the form, without an answer that it has, and wait."""
        try:
            super().execute(context)
        except TaskAwaitingInput:  # the form is there; Airflow itself would wait for an answer only
            self._wait(context, until)

    def _wait(self, context: Context, until: datetime) -> None:
        """Defer until somebody has answered, the deadline has passed, or nothing waits for a decision any more."""
        # Imported here: parsing DAGs needs no trigger.
        from card_usage_airflow.form_trigger import AnsweredOrMended

        self.defer(
            trigger=AnsweredOrMended(
                hospital_id=self.hospital_id,
                window=self.window,
                ti_id=context["task_instance"].id,
                options=self.options,
                defaults=self.defaults,
                params={},
                timeout_datetime=until,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer, unless the window was checked again since and found worse. Where a second person has to
        decide the same, the form opens again, with the same deadline.
        """
        from card_usage.ledger.decisions import Actor
        from card_usage.quality.approval import deadline, record_decision, verdicts_of

        if event.get("mended"):
            return self._decided_elsewhere()
        answer = super().execute_complete(context, event)
        decision = self.decisions[answer["chosen_options"][0]]
        user = answer["responded_by_user"]
        # What the session authenticated; nobody's: the default of the hospital's file.
        nobody = event.get("timedout") or user is None
        by = Actor(self.by_deadline, "file") if nobody else Actor(str(user["name"] or user["id"]), "form")
        with open_context(self.hospital_id) as opened:
            verdicts = verdicts_of(opened.ledger, self.hospital_id, window_from(self.window))
            asked = [verdict for verdict in verdicts if verdict.awaits_decision and verdict.asked_at is not None]
            effects = [
                record_decision(opened.ledger, opened.hospital, verdict, decision, by, now=present())
                for verdict in asked
            ]
            until = [deadline(opened.hospital, verdict.asked_at) for verdict in asked if verdict.asked_at is not None]
        if "first" in effects:
            self.log.info("%s: %s by %s; a second person has to decide the same", self.window, decision, by.name)
            return self._ask(context, min(until))
        if "decided" not in effects:
            self.log.warning(
                "%s: %s by %s came too late: decided, mended or judged anew", self.window, decision, by.name
            )
            return {"window": self.window, "decision": None, "by": None}
        self.log.info("%s: %s by %s", self.window, decision, by.name)
        return {"window": self.window, "decision": decision, "by": by.name}

    def _decided_elsewhere(self) -> dict[str, str | None]:
        """What somebody decided by command line, in another run's form or an earlier try, or that there is nothing."""
        from card_usage.quality.approval import verdicts_of

        with open_context(self.hospital_id) as opened:
            verdicts = verdicts_of(opened.ledger, self.hospital_id, window_from(self.window))
        given = next((verdict for verdict in verdicts if verdict.decision is not None), None)
        if given is None:
            self.log.info("%s: passed since; nothing waits for a decision any more", self.window)
            return {"window": self.window, "decision": None, "by": None}
        self.log.info("%s: %s by %s, not in this form", self.window, given.decision, given.decided_by)
        return {"window": self.window, "decision": given.decision, "by": given.decided_by}
