"""Where a hospital lets nothing out but by its proxy: checks, calls and flows take the same way as reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import ledgers
import pytest
from authority import Authority
from card_usage.files.shipped import SHIPPED
from forked_cli import CommandLine
from proxies import Proxy, proxy, with_tls
from region import Region, region

HOST = "platform.hospital.example"
CHECK = ("platform", "check", "--hospital", "demo_hospital", "--json")
CALL = ("platform", "call", "getHealthCardByHealthCode", "--hospital", "demo_hospital", "--json")


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    with region(clock_is_real=True) as opened:
        yield opened


@pytest.fixture
def plain(here: Region) -> Iterator[Proxy]:
    """A proxy to the sandbox as http://platform.hospital.example."""
    with proxy({f"{HOST}:80": here.sandbox.url}) as made:
        yield made


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secure(here: Region, authority: Authority) -> Iterator[Proxy]:
    """A proxy to the sandbox as https://platform.hospital.example, whose certificate an authority of its own issued."""
    with with_tls(here.sandbox.url, authority.server(HOST)) as url, proxy({f"{HOST}:443": url}) as made:
        yield made


class Office:
    """A command line with a hospital whose platform only the proxy knows."""

    def __init__(self, home: Path, command_line: CommandLine) -> None:
        self._command_line = command_line
        text = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
        (home / "hospitals").mkdir()
        # Not live yet: plain http is told, and not refused.
        not_live = text.replace("live = true", "live = false")
        assert not_live != text
        (home / "hospitals" / "demo_hospital.toml").write_text(not_live, encoding="utf-8")
        self.environment = {
            "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(home),
            "CARD_USAGE_KEY": ledgers.KEY,
            "CARD_USAGE_HOSPITALS": str(home / "hospitals"),
        }

    def run(self, *words: str, scheme: str = "https", **environment: str) -> tuple[int, str, str]:
        login = {"login": "demo-app-id", "password": "demo-app-secret"}
        given = {"conn_type": "http", "host": f"{scheme}://{HOST}", **login}
        rehearsal = json.dumps(given | {"host": f"{scheme}://sandbox.{HOST}"})
        told = {
            "AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(given),
            "AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL": rehearsal,
            "NO_PROXY": "",
            **environment,
        }
        done = self._command_line.run(list(words), self.environment | told)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def office(tmp_path: Path, command_line: CommandLine) -> Office:
    return Office(tmp_path, command_line)


def states(told: str) -> dict[str, str]:
    return {each["check"]: each["state"] for each in json.loads(told)["checks"]}


def said(told: str, check: str) -> str:
    return next(str(each["says"]) for each in json.loads(told)["checks"] if each["check"] == check)


def test_the_check_goes_by_the_proxy_and_trusts_the_hospitals_own_authority(
    office: Office, secure: Proxy, authority: Authority
) -> None:
    code, told, _ = office.run(*CHECK, HTTPS_PROXY=secure.url, CARD_USAGE_CA=str(authority.file))
    assert code == 0, told
    found = states(told)
    assert found["reach"] == found["token"] == found["gate"] == "ok"
    assert found["tls"] == "warn"  # it expires tomorrow
    assert set(secure.asked) == {f"CONNECT {HOST}:443"}


def test_a_certificate_that_is_not_accepted_is_told_in_the_words_of_every_call(office: Office, secure: Proxy) -> None:
    code, told, _ = office.run(*CHECK, HTTPS_PROXY=secure.url)
    assert code == 1
    assert states(told) == {"tls": "missing"}
    assert "certificate: unable to get local issuer certificate" in said(told, "tls")
    assert f"({HOST}:443; it is of '{HOST}', issued by 'Hospital Root CA'" in said(told, "tls")
    assert "CARD_USAGE_CA" in said(told, "tls")


def test_a_platform_of_plain_http_is_checked_by_its_proxy_too(office: Office, plain: Proxy) -> None:
    code, told, _ = office.run(*CHECK, scheme="http", http_proxy=plain.url)
    assert code == 0, told
    assert plain.asked
    assert all(f"http://{HOST}/" in line for line in plain.asked)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_reach_the_platform_is_no_platform_that_answers(office: Office, scheme: str) -> None:
    with proxy({}) as nowhere:
        code, told, _ = office.run(*CHECK, scheme=scheme, HTTPS_PROXY=nowhere.url, HTTP_PROXY=nowhere.url)
    assert code == 1
    assert states(told) == {"reach": "missing"}
    assert "proxy: " in said(told, "reach")
    assert "502" in said(told, "reach")


def test_a_host_that_needs_no_proxy_is_asked_directly(office: Office, plain: Proxy) -> None:
    code, told, _ = office.run(*CHECK, scheme="http", HTTP_PROXY=plain.url, NO_PROXY="hospital.example")
    assert code == 1
    assert states(told) == {"reach": "missing"}  # nobody but the proxy knows it
    assert plain.asked == []


@pytest.mark.parametrize("words", [CHECK, ("rehearse", "all", "--hospital", "demo_hospital")])
def test_a_proxy_that_cannot_be_used_is_one_line(office: Office, words: tuple[str, ...]) -> None:
    code, _, complaint = office.run(*words, HTTPS_PROXY="socks5://user:secret@proxy.example:1080")
    assert code == 2
    assert "HTTPS_PROXY is a SOCKS proxy" in complaint
    assert "secret" not in complaint


def test_a_call_of_an_interface_goes_the_same_way(
    office: Office, secure: Proxy, authority: Authority, tmp_path: Path
) -> None:
    request = tmp_path / "call.json"
    request.write_text(json.dumps({"healthCode": "0" * 32}), encoding="utf-8")
    trusted = {"HTTPS_PROXY": secure.url, "CARD_USAGE_CA": str(authority.file)}
    _, told, complaint = office.run(*CALL, str(request), **trusted)
    assert "Traceback" not in complaint
    assert secure.asked, told


def test_a_flow_visits_the_pages_by_the_proxy_too(office: Office, here: Region, authority: Authority) -> None:
    sandbox = f"sandbox.{HOST}"
    words = ("rehearse", "all", "--hospital", "demo_hospital")
    with with_tls(here.sandbox.url, authority.server(sandbox)) as url, proxy({f"{sandbox}:443": url}) as way:
        trusted = {"HTTPS_PROXY": way.url, "CARD_USAGE_CA": str(authority.file)}
        code, told, complaint = office.run(*words, **trusted)
    assert code == 0, told + complaint
    assert set(way.asked) == {f"CONNECT {sandbox}:443"}
