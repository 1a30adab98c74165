"""Notes on runs: three figures in both languages, from what the run returned; a person's own note stays."""

from __future__ import annotations

from types import SimpleNamespace

from card_usage_airflow.run_notes import note_of, write_note


def test_a_note_says_what_was_delivered_what_waits_and_what_differs() -> None:
    counts = {"delivered": 19546, "quarantined": 400, "rejected": 50, "unconfirmed": 1, "open": 3, "remainder": 0}
    assert note_of(counts, {"written": 1, "unchanged": 3, "failed": 0}).split("\n\n") == [
        "已上报 19,546，待处理 454，差异 0",
        "19,546 delivered, 454 waiting, 0 differences",
    ]


def test_a_note_says_that_the_warehouse_was_not_updated() -> None:
    counts = {"delivered": 5, "remainder": 0}
    for built in (None, {"written": 0, "unchanged": 0, "failed": 1}):
        assert note_of(counts, built).split("\n\n") == [
            "已上报 5，待处理 0，差异 0；数据仓库未更新",
            "5 delivered, 0 waiting, 0 differences; the warehouse was not updated",
        ]


def test_a_note_of_a_person_and_another_dag_are_left_alone() -> None:
    for dag_id, user in (("report_card_usage__a", "me"), ("publish_card_usage", None)):
        run = SimpleNamespace(dag_id=dag_id, run_id="r", note="mine", dag_run_note=SimpleNamespace(user_id=user))
        write_note(run)
        assert run.note == "mine"
