"""Every DAG as Airflow reads it: imports, names, limits, timetables, and what parsing may not do."""

from __future__ import annotations

import inspect
import itertools
import json
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from pydoc import locate

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, RetryAction
from airflow.sdk.exceptions import AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.utils.types import DagRunType
from card_usage import errors
from card_usage.windows import DAY, ZONE, local
from card_usage_airflow.defaults import Tag, timetable
from card_usage_airflow.retry_policy import RETRY_BY_MEANING
from card_usage_airflow.sensors import ReplicaPassed

ROOT = Path(__file__).resolve().parents[2]
HOSPITAL_FILE = ROOT / "include" / "hospitals" / "demo_hospital.toml"


def parsed() -> DagBag:
    """All DAG files, read anew."""
    return DagBag(str(ROOT / "dags"))


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    bag = parsed()
    assert bag.import_errors == {}
    return bag.dags


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of hospital files of this test's own: the demo hospital, and one more that reports every hour."""
    shutil.copy(HOSPITAL_FILE, tmp_path)
    text = HOSPITAL_FILE.read_text(encoding="utf-8")
    hourly = text.replace('id = "demo_hospital"', 'id = "hourly_hospital"').replace('"daily" ', '"hourly"')
    (tmp_path / "hourly_hospital.toml").write_text(hourly, encoding="utf-8")
    monkeypatch.setenv("CARD_USAGE_HOSPITALS", str(tmp_path))
    return tmp_path


def test_every_dag_file_gives_its_dags(dags: dict[str, DAG]) -> None:
    assert set(dags) == {
        "report_card_usage__demo_hospital",
        "import_statements",
        "load_history_card_usage",
        "reconcile_card_usage",
        "redeliver_card_usage",
        "alert_card_usage",
        "publish_card_usage",
        "purge_card_usage",
        "upgrade_patients",
    }


def test_every_dag_says_who_owns_it_what_it_is_and_what_to_do_at_night(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        assert dag.owner == "card-usage"
        assert dag.tags
        assert dag.tags <= {tag.value for tag in Tag}
        assert dag.description
        assert dag.doc_md.startswith("# ")
        assert "log" in dag.doc_md
        english, found, chinese = dag.doc_md.partition("## 中文手册")
        assert found, "the runbook is in Chinese too"
        causes = re.compile(r"`[A-Z]\w+[a-z]\w*`")
        assert set(causes.findall(english)) <= set(causes.findall(chinese)), "a cause that the Chinese part lacks"
        assert all(f"`{task.task_id}`" in dag.doc_md for task in dag.tasks), "a task that the runbook does not know"
        assert dag.catchup is False
        assert dag.on_failure_callback


def test_every_task_has_limits_and_retries_by_meaning(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            assert timedelta() < task.execution_timeout <= timedelta(hours=12)
            assert task.retries > 0
            assert task.retry_policy is RETRY_BY_MEANING
            # One line a run, not one a task.
            assert not task.on_failure_callback


def test_a_report_waits_stages_checks_delivers_reports_and_asks_about_what_is_withheld_beside_it(
    dags: dict[str, DAG],
) -> None:
    dag = dags["report_card_usage__demo_hospital"]
    before = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    assert before == {
        "wait": set(),
        "stage": {"wait"},
        "check": {"wait", "stage"},
        "deliver": {"wait", "check"},
        "reconcile": {"wait", "deliver"},
        "publish": {"wait", "reconcile"},
        "warehouse": {"wait", "reconcile"},
        "approve": {"check"},
        "deliver_approved": {"approve"},
        "report_approved": {"check", "deliver_approved"},
    }
    assert dag.get_task("stage").is_mapped
    assert dag.get_task("wait").task_type == "ReplicaPassed"
    # Whatever becomes of the warehouse, the run has done what it is for: nothing waits for it. A run with a teardown
    # cannot be marked as failed or success by hand.
    assert not dag.get_task("warehouse").downstream_task_ids
    assert not [task.task_id for task in dag.tasks if task.is_teardown]


def test_an_error_of_the_warehouse_skips_its_task_and_fails_no_run(
    dags: dict[str, DAG], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise errors.WarehouseUnreadable(reason="torn")

    task = dags["report_card_usage__demo_hospital"].get_task("warehouse")
    monkeypatch.setitem(task.python_callable.__globals__, "open_context", broken)
    with pytest.raises(AirflowSkipException, match="the next run or morning does it"):
        task.python_callable("demo_hospital", [])


def test_airflow_can_store_and_restore_every_dag(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        restored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
        assert restored.dag_id == dag.dag_id
        assert type(restored.timetable) is type(dag.timetable) or dag.schedule is None


def intervals(cadence: str, first: datetime, count: int) -> list[DataInterval]:
    """The first `count` intervals from `first` on, as the scheduler would make them."""
    restriction = TimeRestriction(earliest=pendulum.instance(first), latest=None, catchup=True)
    found: list[DataInterval] = []
    while len(found) < count:
        last = found[-1] if found else None
        run = timetable(cadence).next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        found.append(run.data_interval)
    return found


@pytest.mark.parametrize(("cadence", "length"), [("daily", DAY), ("hourly", timedelta(hours=1))])
def test_intervals_are_whole_local_days_or_hours_without_a_gap(cadence: str, length: timedelta) -> None:
    found = intervals(cadence, datetime(2028, 2, 28, tzinfo=ZONE), 50)
    assert all(one.end - one.start == length for one in found)
    assert all(before.end == after.start for before, after in itertools.pairwise(found))
    assert local(found[0].start) == datetime(2028, 2, 28)  # noqa: DTZ001 - naive local time
    assert cadence == "hourly" or {local(one.start).hour for one in found} == {0}


@pytest.mark.parametrize(("cadence", "name"), [("daily", "2026-11-23"), ("hourly", "2026-11-23T00")])
def test_a_run_is_named_for_its_local_time(cadence: str, name: str) -> None:
    (interval,) = intervals(cadence, datetime(2026, 11, 23, tzinfo=ZONE), 1)
    made = timetable(cadence).generate_run_id(
        run_type=DagRunType.SCHEDULED, run_after=interval.end, data_interval=interval
    )
    assert made == f"scheduled__{name}"


def test_runs_by_hand_of_one_day_do_not_share_a_name() -> None:
    (interval,) = intervals("daily", datetime(2026, 11, 23, tzinfo=ZONE), 1)
    names = {
        timetable("daily").generate_run_id(
            run_type=DagRunType.MANUAL, run_after=interval.end.add(minutes=minute), data_interval=interval
        )
        for minute in range(3)
    }
    assert len(names) == 3


def test_each_hospital_file_is_a_dag_of_its_cadence(fleet: Path) -> None:
    bag = parsed()
    assert bag.import_errors == {}
    assert bag.dags["report_card_usage__demo_hospital"].timetable.summary == "0 0 * * * Asia/Shanghai"
    assert bag.dags["report_card_usage__hourly_hospital"].timetable.summary == "0 * * * * Asia/Shanghai"
    assert bag.dags["redeliver_card_usage"].params.get_param("hospital").schema["enum"] == [
        "demo_hospital",
        "hourly_hospital",
    ]


def test_one_date_is_enough_for_one_day_of_a_redelivery(fleet: Path) -> None:
    redeliver = parsed().dags["redeliver_card_usage"]
    asked_for = redeliver.get_task("preview").python_callable.__globals__["asked_for"]
    form = {**redeliver.params.dump(), "from": "2026-03-04"} if redeliver.params.get_param("to").value is None else {}
    assert str(asked_for(form)) == "2026-03-04"
    assert str(asked_for({**form, "to": "2026-03-06"})) == "2026-03-04..2026-03-06"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ('shape = "winning"', "his.shape"),
        ('cadence = "daily"', "cadence"),
        ('name = "', "(file)"),
    ],
)
def test_a_broken_hospital_file_shows_itself_and_leaves_the_others_alone(fleet: Path, broken: str, named: str) -> None:
    path = fleet / "hourly_hospital.toml"
    path.write_text(HOSPITAL_FILE.read_text(encoding="utf-8").replace(broken, broken.replace('"', '"no-such-', 1)))
    if named == "(file)":
        path.write_text("id = ")
    bag = parsed()
    assert set(bag.dags) == {
        "report_card_usage__demo_hospital",
        "report_card_usage__hourly_hospital",
        "import_statements",
        "load_history_card_usage",
        "reconcile_card_usage",
        "redeliver_card_usage",
        "alert_card_usage",
        "publish_card_usage",
        "purge_card_usage",
        "upgrade_patients",
    }
    (problem,) = bag.import_errors.values()
    (place,) = bag.import_errors
    stub = bag.dags["report_card_usage__hourly_hospital"]
    assert Path(place).name == "hospital_files.py"
    assert Tag.BROKEN in stub.tags
    for said in (problem, stub.description, stub.doc_md):
        assert "hourly_hospital.toml" in said
        assert f"key '{named}'" in said
    (task,) = stub.tasks
    with pytest.raises(errors.BadHospitalFile, match=r"hourly_hospital\.toml"):
        task.python_callable("hourly_hospital")


def test_every_error_of_the_pipeline_has_a_meaning_for_retries() -> None:
    def tree(kind: type[errors.CardUsageError]) -> set[type[errors.CardUsageError]]:
        return {kind}.union(*(tree(child) for child in kind.__subclasses__()))

    undecided = []
    for kind in tree(errors.CardUsageError) - {errors.CardUsageError}:
        error = kind.__new__(kind)
        if RETRY_BY_MEANING.evaluate(error, 1, 5).action is RetryAction.DEFAULT:
            undecided.append(kind.__name__)
    assert undecided == []


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (errors.MissingSetting, RetryAction.FAIL),
        (errors.Misconfigured, RetryAction.FAIL),
        (errors.SourceDrift, RetryAction.FAIL),
        (errors.GateStopped, RetryAction.FAIL),
        (errors.SourceUnreachable, RetryAction.RETRY),
        (errors.LedgerUnreachable, RetryAction.RETRY),
        (errors.PlatformUnreachable, RetryAction.RETRY),
        (ZeroDivisionError, RetryAction.DEFAULT),
    ],
)
def test_what_somebody_must_mend_fails_at_once_and_what_heals_is_tried_again(
    kind: type[BaseException], action: RetryAction
) -> None:
    assert RETRY_BY_MEANING.evaluate(kind.__new__(kind), 1, 5).action is action


PARSE = """
import sys, time, airflow.sdk
from airflow.dag_processing.dagbag import DagBag
import airflow.timetables.interval
before = set(sys.modules)
began = time.process_time()
bag = DagBag({folder!r})
took = time.process_time() - began
assert not bag.import_errors and bag.dags
import json
print(json.dumps([took, sorted(set(sys.modules) - before)]))
"""


def test_parsing_is_quick_and_loads_nothing_heavy(fleet: Path) -> None:
    text = HOSPITAL_FILE.read_text(encoding="utf-8")
    for n in range(100):
        (fleet / f"h{n}.toml").write_text(text.replace('id = "demo_hospital"', f'id = "h{n}"'), encoding="utf-8")
    code = PARSE.format(folder=str(ROOT / "dags"))
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    took, loaded = json.loads(told.splitlines()[-1])
    heavy = {"great_expectations", "pandas", "httpx", "aiohttp", "pymssql", "psycopg", "apprise", "alembic"}
    assert sorted({name.partition(".")[0] for name in loaded} & heavy) == []
    assert [name for name in loaded if name.startswith(("card_usage.ledger", "card_usage.pipeline"))] == []
    assert took < 1.0, "processor seconds for 102 hospitals"


def test_what_airflow_keeps_by_its_name_is_still_there() -> None:
    """Of deferred runs, forms and deadlines that an upgrade finds open: docs/production.md, "What may be open"."""
    kept = (
        "card_usage_airflow.triggers.ReplicaPasses",
        "card_usage_airflow.form_trigger.AnsweredOrMended",
        "card_usage_airflow.sensors.ReplicaPassed.resume",
        "card_usage_airflow.approval.Approval.execute_complete",
        "card_usage_airflow.alerting.look_now",
        "card_usage_airflow.timetable.LocalIntervals",
        "card_usage_airflow.links.ReportLink",
    )
    assert [name for name in kept if locate(name) is None] == []
    resumed = inspect.signature(ReplicaPassed.resume).parameters
    assert list(resumed) == ["self", "context", "event", "windows"]


def test_airflow_loads_one_plugin_and_no_module_of_the_package_by_its_bare_name() -> None:
    code = (
        "import json, sys\n"
        "from airflow import plugins_manager\n"
        "from airflow.plugins_manager import get_timetables_plugins\n"
        "found = list(get_timetables_plugins())\n"
        "print(json.dumps([found, plugins_manager.get_import_errors(), sorted(sys.modules)]))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    found, failed, loaded = json.loads(told.splitlines()[-1])
    assert found == ["card_usage_airflow.timetable.LocalIntervals"]
    assert failed == {}
    package = {path.stem for path in (ROOT / "plugins" / "card_usage_airflow").glob("[a-z]*.py")}
    assert package & set(loaded) == set()
