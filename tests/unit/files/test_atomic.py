"""What the product writes for itself is nobody else's, and a symbolic link leads neither a write nor a read away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from card_usage.errors import BadStorePath
from card_usage.files.atomic import demand_no_link, make_private, new_file, read_here, write_atomically
from card_usage.files.store import Store


@pytest.fixture(params=[0o000, 0o022, 0o777], autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    make_private(made)
    return made


@pytest.fixture
def victim(home: Path) -> Path:
    write_atomically(home / "victim", b"kept")
    return home / "victim"


def test_files_and_folders_are_their_users_alone_whatever_the_umask(home: Path) -> None:
    make_private(home / "a" / "b")
    with new_file(home / "new") as file:
        file.write(b"1")
    write_atomically(home / "written", b"1")
    assert {mode(path) for path in (home, home / "a", home / "a" / "b")} == {0o700}
    assert {mode(path) for path in (home / "new", home / "written")} == {0o600}


def test_nothing_is_written_to_where_a_link_leads(home: Path, victim: Path) -> None:
    link, dangling = home / "link", home / "dangling"
    link.symlink_to(victim)
    dangling.symlink_to(home / "made")
    for path in (link, dangling):
        with pytest.raises(FileExistsError):
            new_file(path)
        write_atomically(path, b"ours")
        assert not path.is_symlink()
    assert victim.read_bytes() == b"kept"
    assert not (home / "made").exists()


def test_nothing_is_read_or_moved_to_where_a_link_leads_and_a_pipe_is_not_waited_for(home: Path, victim: Path) -> None:
    (home / "link").symlink_to(victim)
    (home / "folder").symlink_to(home)
    os.mkfifo(home / "pipe", 0o600)
    assert read_here(victim, 2) == b"ke"
    for name, problem in {"link": "symbolic link", "pipe": "no file"}.items():
        with pytest.raises(OSError, match=problem):
            read_here(home / name, 10)
    with pytest.raises(OSError, match="symbolic link"):
        demand_no_link(home / "folder")


def test_a_link_out_of_the_report_store_is_neither_read_nor_written_through(home: Path, victim: Path) -> None:
    root = home / "reports"
    make_private(root)
    (root / "file.html").symlink_to(victim)
    (root / "hospital").symlink_to(home)
    for name in ("file.html", "hospital/victim"):
        with pytest.raises(BadStorePath):
            Store(root).read(name)
        with pytest.raises(BadStorePath):
            Store(root).write(name, b"ours")
    assert victim.read_bytes() == b"kept"
