"""Pages of the platform: the addresses of the document, and ways back that it would refuse."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from card_usage.errors import RedirectRefused
from card_usage.open_platform.redirects import activation_url, card_list_url, returned, user_code_url
from hypothesis import given
from hypothesis import strategies as st

BACK = "https://isv.example.org:8443/card?from=menu&x=1"
WAYS = (user_code_url, card_list_url, lambda back, **more: activation_url("e=&1", back, **more))


def test_the_pages_are_those_of_the_document():
    assert user_code_url("https://a.cn/b") == (
        "https://health.tengmed.com/open/getUserCode?redirect_uri=https%3A%2F%2Fa.cn%2Fb"
    )
    assert card_list_url("https://a.cn").startswith("https://health.tengmed.com/open/getHealthCardList?redirect_uri=")
    assert activation_url("a+b=", "https://a.cn") == (
        "https://health.tengmed.com/open/batchActiveCard?open_id=a%2Bb%3D&redirect_uri=https%3A%2F%2Fa.cn"
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_way_back_arrives_whole(way):
    assert parse_qs(urlsplit(way(BACK)).query)["redirect_uri"] == [BACK]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "back",
    ["", "isv.example.org", "/card", "ftp://a.cn", "javascript:alert(1)", "https://", "https://a.cn/卡", "http://[",
     "https://a.cn/ b", "https://a.cn/\n", "https://a.cn/#card", "https://u:p@a.cn/", "https://a.cn:port/"],
)  # fmt: skip
def test_a_way_back_that_cannot_be_is_refused_and_not_quoted(way, back):
    with pytest.raises(RedirectRefused) as told:
        way(back)
    assert len(back) < 3 or back not in str(told.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_host_that_is_not_listed_is_refused_before_a_user_sees_it(way):
    for listed in ({"isv.example.org"}, {"isv.example.org:8443"}):
        assert way(BACK, allowed=listed)
    for listed in ({"example.org"}, {"isv.example.org:443"}, {"evil.org"}):
        with pytest.raises(RedirectRefused, match="not on the list"):
            way(BACK, allowed=listed)


def test_nobody_activates_nothing():
    with pytest.raises(RedirectRefused):
        activation_url("", BACK)


def test_the_code_that_comes_back_is_taken_once():
    assert returned("https://a.cn/?x=1&wechatCode=AB12", "wechatCode") == "AB12"
    for url in ("https://a.cn/", "https://a.cn/?wechatCode=", "https://a.cn/?wechatCode=1&wechatCode=2"):
        with pytest.raises(RedirectRefused, match="wechatCode"):
            returned(url, "wechatCode")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#[]@:/\\?"), max_size=40))
def test_any_query_arrives_as_it_is(text: str):
    back = f"https://a.cn/card?x={text}"
    assert parse_qs(urlsplit(card_list_url(back)).query)["redirect_uri"] == [back]
