"""The store of reports: whole files or none, and nothing outside its root."""

from __future__ import annotations

from pathlib import Path

import pytest
from card_usage.errors import BadStorePath
from card_usage.files.store import Store
from hypothesis import given
from hypothesis import strategies as st


def test_what_is_written_is_read_and_replaced(tmp_path):
    store = Store(tmp_path)
    store.write("a/b/one.json", b"1")
    store.write("a/b/one.json", b"22")
    assert store.read("a/b/one.json") == b"22"
    assert store.location("a/b/one.json") == str(tmp_path / "a/b/one.json")
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["one.json"]
    assert (tmp_path / "a/b/one.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "name",
    [
        *("", "/etc/passwd", "../x", "a/../../x", "a/./b", "..", ".", "a\\..\\x", "a\0b", "./a", "a/.."),
        *("x" * 300 + ".html", "报" * 100, "a/" * 600 + "b", "a\udcff.html"),
    ],
)
def test_no_name_leads_out_of_the_root(tmp_path, name):
    with pytest.raises(BadStorePath):
        Store(tmp_path).read(name)
    with pytest.raises(BadStorePath):
        Store(tmp_path).write(name, b"x")


def test_no_link_leads_out_of_the_root(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(BadStorePath):
        Store(tmp_path / "root").read("link/secret")


@given(st.text(st.sampled_from("ab./\\%\0~"), max_size=12))
def test_whatever_the_name_it_is_below_the_root_or_refused(name):
    root = Path("/srv/reports")
    try:
        location = Store(root).location(name)
    except BadStorePath:
        return
    assert Path(location).resolve().is_relative_to(root)
    assert Path(location).resolve() != root


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        Store(tmp_path).read("none.html")


def test_a_url_names_an_object_storage():
    store = Store.at("memory://reports/here")
    store.write("a/one.json", b"1")
    assert store.read("a/one.json") == b"1"
    assert store.location("a/one.json") == "memory://reports/here/a/one.json"
    with pytest.raises(FileNotFoundError):
        store.read("a/none.json")
    with pytest.raises(BadStorePath):
        store.read("../one.json")
