"""Children of the demo: a service that dies is started again, a few times, and none outlives its parent."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from embedded.children import ChildFailed, Children, clean_environment

DIES = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write('once '); sys.exit(3)"


def ended(log: Path, times: int) -> bool:
    return log.exists() and log.read_text().count("once") == times


def test_a_service_that_dies_is_started_again_until_it_has_died_too_often(tmp_path: Path) -> None:
    made, names = tmp_path / "made", []
    with Children() as children:
        command = [sys.executable, "-c", DIES, str(made)]
        child = children.start("service", command, env=clean_environment(), log=tmp_path / "log", restarts=2)
        until = time.monotonic() + 60
        with pytest.raises(ChildFailed, match="service ended with exit code 3"):
            while time.monotonic() < until:
                names += children.check()
                time.sleep(0.05)
    assert names == ["service", "service"]
    assert ended(made, 3)
    assert not child.running
    assert (tmp_path / "log").read_text().count("started again") == 2
