"""Children of the demo: a service that dies is started again, a few times, and none outlives its parent."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from embedded.children import ChildFailed, Children, clean_environment

DIES = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write('once '); sys.exit(3)"


def checked_until_it_fails(children: Children, names: list[str]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        names += children.check()
        time.sleep(0.05)


def test_a_service_that_dies_is_started_again_until_it_has_died_too_often(tmp_path: Path) -> None:
    made = tmp_path / "made"
    names: list[str] = []
    with Children() as children:
        command = [sys.executable, "-c", DIES, str(made)]
        child = children.start("service", command, env=clean_environment(), log=tmp_path / "log", restarts=2)
        with pytest.raises(ChildFailed, match="service ended with exit code 3"):
            checked_until_it_fails(children, names)
    assert names == ["service", "service"]
    assert made.read_text().count("once") == 3
    assert not child.running
    assert (tmp_path / "log").read_text().count("started again") == 2


def test_a_child_whose_end_was_judged_is_not_judged_again(tmp_path: Path) -> None:
    with Children() as children:
        command = [sys.executable, "-c", DIES, str(tmp_path / "made")]
        assert children.start("job", command, env=clean_environment(), log=tmp_path / "log").ended() == 3
        assert children.check() == []
