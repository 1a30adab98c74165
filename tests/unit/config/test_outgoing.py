"""Which proxy a call takes: every form of the variables that is seen in the wild, or one error that names them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from card_usage.config.outgoing import proxy_for
from card_usage.errors import BadProxy
from hypothesis import given
from hypothesis import strategies as st

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", "https://a.example"),
        ("a.example", "https://a.example"),
        (".example", "https://a.example"),
        ("*.example", "https://a.b.example"),
        ("EXAMPLE", "https://a.example"),
        ("x, example", "https://a.example"),
        ("x example", "https://a.example"),
        ("a.example:443", "https://a.example/x"),
        ("a.example:8443", "https://a.example:8443"),
        ("10.0.0.0/8", "https://10.1.2.3"),
        ("10.1.2.3", "https://10.1.2.3:8443"),
        ("10.1.2.3:8443", "https://10.1.2.3:8443"),
        ("::1", "https://[::1]:8443"),
        ("[::1]", "https://[::1]"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("fd00::/8", "https://[fd12::1]"),
        ("[fd00::]/8", "https://[fd12::1]"),
    ],
)
def test_what_no_proxy_names_is_called_directly(no_proxy: str, url: str) -> None:
    assert proxy_for(url, {"HTTPS_PROXY": PROXY}) == PROXY
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) is None
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, "no_proxy": no_proxy, "NO_PROXY": "x"}) is None


@pytest.mark.parametrize("no_proxy", ["", "b.example", "ample", "10.0.0.0/8", "::1", "a.example:80", " , "])
def test_what_it_does_not_name_goes_by_the_proxy(no_proxy: str) -> None:
    assert proxy_for("https://a.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) == PROXY


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("proxy.example:3128", PROXY),
        ("HTTP://proxy.example:3128/", PROXY),
        ("https://proxy.example", "https://proxy.example"),
        ("http://user:p%40ss@proxy.example:3128", "http://user:p%40ss@proxy.example:3128"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
    ],
)
def test_a_proxy_is_read_with_and_without_a_scheme(value: str, proxy: str) -> None:
    assert proxy_for("https://a.example", {"https_proxy": value}) == proxy
    assert proxy_for("http://a.example", {"https_proxy": value}) is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "socks5://user:secret@proxy.example:1080"),
        ("https_proxy", "socks5h://secret.example"),
        ("HTTPS_PROXY", "ftp://secret.example"),
        ("HTTPS_PROXY", "http://"),
        ("HTTPS_PROXY", "http://secret:port"),
        ("HTTPS_PROXY", "http://fd00::1:3128"),
        ("NO_PROXY", "10.0.0.0/99"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_line_with_the_variable(variable: str, value: str) -> None:
    with pytest.raises(BadProxy) as bad:
        proxy_for("https://a.example", {"HTTPS_PROXY": PROXY, variable: value})
    assert str(bad.value).startswith(f"{variable} ")
    assert "secret" not in str(bad.value)


def test_a_visitor_names_no_proxy() -> None:
    assert proxy_for("http://a.example", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_value_is_more_than_an_error_of_ours(proxy: str, no_proxy: str) -> None:
    taken = None
    with suppress(BadProxy):
        taken = proxy_for("https://10.1.2.3", {"HTTPS_PROXY": proxy, "NO_PROXY": no_proxy})
    assert taken is None or taken.startswith(("http://", "https://"))
