"""What a request gives, from a stand-in for a framework's request: fields, bounds, ids, hooks that go wrong."""

import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client import Client, ConfigError, scope
from analytics_client.contrib.guard import guarded
from analytics_client.contrib.request import Options, RequestScope, cookie_header, separated
from tests.support.capture import captured


class Asked:
    """A request made of what a test says; remembers what it was asked for."""

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        path: str = "/",
        query: str = "",
        peer: str = "10.0.0.9",
    ) -> None:
        self.headers = {"host": "shop.example.com", **(headers or {})}
        self.asked: list[str] = []
        self._path, self._query, self._peer = path, query, peer

    def header(self, name: str) -> str:
        self.asked.append(name)
        return self.headers.get(name, "")

    def peer(self) -> str:
        return self._peer

    def scheme(self) -> str:
        return "https"

    def host(self) -> str:
        return self.header("host")

    def path(self) -> str:
        return self._path

    def query(self) -> str:
        return self._query


DISABLED = Client("k", enabled=False)


def values(
    view: Asked, user: Callable[[], Any] | None = None, client: Client = DISABLED, **options: Any
) -> RequestScope:
    return RequestScope(view, Options(**options), client, user)


# -- the context -----------------------------------------------------------------------------------------------------


def test_a_usual_request() -> None:
    view = Asked(
        {
            "user-agent": "Firefox",
            "accept-language": "de-CH, de;q=0.9, en;q=0.8",
            "referer": "https://search.example.com/?q=mats",
        },
        path="/items/Füße 100%",
        query="utm_source=mail&utm_campaign=autumn+sale&color=red",
    )
    path = "/items/F%C3%BC%C3%9Fe%20100%25"
    search = "?utm_source=mail&utm_campaign=autumn+sale&color=red"
    assert values(view).context == {
        "userAgent": "Firefox",
        "locale": "de-CH",
        "page": {
            "path": path,
            "url": f"https://shop.example.com{path}{search}",
            "referrer": "https://search.example.com/?q=mats",
            "search": search,
        },
        "campaign": {"source": "mail", "name": "autumn sale"},
    }


def test_what_a_request_does_not_say_is_not_there() -> None:
    assert values(Asked({"host": ""})).context == {"page": {"path": "/"}}


def test_the_address_is_sent_only_where_that_was_asked_for() -> None:
    headers = {"x-forwarded-for": "6.6.6.6, 1.2.3.4", "forwarded": "for=5.5.5.5"}
    assert "ip" not in values(Asked(headers)).context
    assert values(Asked(headers), trusted_proxies=0).context["ip"] == "10.0.0.9"
    assert values(Asked(headers), trusted_proxies=1).context["ip"] == "1.2.3.4"
    assert values(Asked(headers), trusted_proxies=1, proxy_header="forwarded").context["ip"] == "5.5.5.5"
    assert "ip" not in values(Asked(peer=""), trusted_proxies=1).context


def test_omit() -> None:
    view = Asked(
        {"user-agent": "F", "accept-language": "en", "referer": "https://e.com/a?token=1"}, query="utm_source=x&token=2"
    )
    assert values(view, omit=["userAgent", "locale", "page", "campaign"]).context == {}
    assert values(view, omit=("search",)).context == {
        "userAgent": "F",
        "locale": "en",
        "page": {"path": "/", "url": "https://shop.example.com/", "referrer": "https://e.com/a"},
        "campaign": {"source": "x"},
    }


@pytest.mark.parametrize(
    ("accept", "locale"),
    [
        ("en", "en"),
        ("en;q=0.5, fr", "fr"),
        ("fr;q=0.9,en;q=0.9", "fr"),
        ("*", None),
        ("*, de;q=0.1", "de"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("en;q=0", None),
        ("en;q=1.2.3, de;q=0.2", "de"),
        ("en;q=9, de;q=0.2", "de"),
        ("en;q=x", None),
        (" , ,de ; q = 0.3", "de"),
        ("a" * 9, None),
        ("<script>", None),
        ("", None),
    ],
)
def test_the_most_wanted_language(accept: str, locale: str | None) -> None:
    assert values(Asked({"accept-language": accept})).context.get("locale") == locale


@pytest.mark.parametrize(
    ("query", "campaign"),
    [
        (
            "utm_source=a&utm_medium=b&utm_term=c&utm_content=d",
            {"source": "a", "medium": "b", "term": "c", "content": "d"},
        ),
        ("utm_campaign=x", {"name": "x"}),
        ("utm_source=a&utm_source=b", {"source": "b"}),
        ("utm_source=", None),
        ("utm_=x", None),
        ("xutm_source=a", None),
        ("utm_source=%ff", {"source": "\N{REPLACEMENT CHARACTER}"}),
        ("utm_source=a%26b", {"source": "a&b"}),
    ],
)
def test_the_campaign(query: str, campaign: dict[str, str] | None) -> None:
    assert values(Asked(query=query)).context.get("campaign") == campaign


def test_no_escape_is_cut_in_two() -> None:
    for extra in range(3):
        page = values(Asked(path="/" + "a" * extra + "ü" * 2_000, query="a" * extra + "%C3%BC" * 2_000)).context["page"]
        assert len(page["path"]) <= 2_000
        assert len(page["search"]) <= 2_001
        for text in page.values():
            assert text[-3] == "%" or "%" not in text[-3:], text[-5:]


anything = st.text(max_size=50).flatmap(
    lambda text: st.sampled_from([1, 3_000]).map(lambda times: text * times)
) | st.sampled_from(
    ["\x01" * 65_536, "\U0001f4a3" * 65_536, '"' * 65_536, "\\" * 65_536, "\ud800" * 3_000, "é" * 65_536]
)
headers_of_any_kind = st.dictionaries(
    st.sampled_from(["user-agent", "accept-language", "referer", "host", "cookie", "x-forwarded-for"]), anything
)


@given(headers_of_any_kind, anything, anything | anything.map(lambda text: f"utm_source={text}&utm_{text}=1"), anything)
def test_whatever_comes_the_context_is_small_and_nothing_raises(
    headers: dict[str, str], path: str, query: str, peer: str
) -> None:
    client, capture = captured()
    found = values(Asked(headers, path=path, query=query, peer=peer), client=client, cookie="own", trusted_proxies=1)
    with scope.of(found):
        assert client.track(event="Full", properties={"room": "x" * 10_000})
    client.close()
    assert "hook" not in client.stats.notices
    [event] = capture.events
    assert len(json.dumps(event["context"], ensure_ascii=False).encode()) < 20_000
    assert event["anonymousId"]


@pytest.mark.parametrize("character", ["\x01", "\U0001f4a3", '"', "%01", "é"])
def test_the_largest_context(character: str) -> None:
    """Every field as long as it gets, in the characters that take the most room."""
    many = character * 70_000
    headers = {"user-agent": many, "referer": many, "host": many, "accept-language": "en-" + "x" * 70_000}
    context = values(Asked(headers, path=many, query=f"utm_source={many}"), trusted_proxies=0).context
    assert 7_000 < len(json.dumps(context).encode()) < 20_000


# -- who -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_id", "found"),
    [
        ("u-1", "u-1"),
        (0, 0),
        (uuid.UUID(int=5), uuid.UUID(int=5)),
        (1.5, "1.5"),
        (None, "browser"),
        (False, "browser"),
        ("", "browser"),
    ],
)
def test_the_user_is_the_frameworks_else_the_browsers(given_id: object, found: object) -> None:
    view = Asked({"cookie": "ajs_user_id=browser"})
    assert values(view, lambda: given_id).user_id == found


def test_without_vendor_cookies_nothing_of_them_is_believed() -> None:
    view = Asked({"cookie": "ajs_user_id=u; ajs_anonymous_id=a; own=o"})
    found = values(view, vendor_cookies=False)
    assert (found.user_id, found.anonymous_id) == (None, None)
    assert values(view, vendor_cookies=False, cookie="own").anonymous_id == "o"


def test_the_user_is_asked_for_at_each_event_and_never_before() -> None:
    asked: list[int] = []
    client, capture = captured()
    view = Asked({"cookie": "ajs_anonymous_id=a"})

    def user() -> str | None:
        asked.append(1)
        return None if len(asked) == 1 else "u-1"

    with scope.of(values(view, user, client)):
        assert (asked, view.asked) == ([], [])
        client.track(event="Before the login")
        client.track(event="After")
        client.track("u-2", "Of somebody else")
    client.close()
    assert [(event.get("userId"), event.get("anonymousId")) for event in capture.events] == [
        (None, "a"),
        ("u-1", "a"),
        ("u-2", None),
    ]


def test_the_own_cookie() -> None:
    options = Options(cookie="own")
    new = RequestScope(Asked(), options, DISABLED, None)
    assert cookie_header(new, options, secure=True) is None  # no event, no cookie
    made = new.anonymous_id
    assert made is not None
    assert len(made) == 32
    attributes = "Max-Age=31536000; Path=/; SameSite=Lax; HttpOnly"
    assert cookie_header(new, options, secure=False) == f"own={made}; {attributes}"
    assert cookie_header(new, options, secure=True) == f"own={made}; {attributes}; Secure"
    back = RequestScope(Asked({"cookie": f"own={made}"}), options, DISABLED, None)
    assert back.anonymous_id == made
    assert cookie_header(back, options, secure=True) is None
    browser = RequestScope(Asked({"cookie": f"own={made}; ajs_anonymous_id=a"}), options, DISABLED, None)
    assert browser.anonymous_id == "a"  # the id under which the browser's own events come


def test_threads_of_one_request_make_one_id() -> None:
    class Slow(Asked):
        def header(self, name: str) -> str:
            if name == "cookie":
                both.wait(10)
            return super().header(name)

    both = threading.Barrier(2)
    found = values(Slow(), cookie="own")
    ids: list[str | None] = []
    threads = [threading.Thread(target=lambda: ids.append(found.anonymous_id)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(ids)) == 1
    assert ids == [found.new_anonymous_id] * 2


# -- what goes wrong -------------------------------------------------------------------------------------------------


class Broken(Asked):
    def header(self, name: str) -> str:
        raise LookupError("the text may hold a secret")

    def path(self) -> str:
        raise LookupError


def test_a_request_that_raises_costs_the_fields_alone(caplog: pytest.LogCaptureFixture) -> None:
    client, capture = captured()
    with (
        caplog.at_level(logging.WARNING, "analytics_client"),
        scope.of(values(Broken(query="utm_term=t"), None, client)),
    ):
        client.track("u-1", "First")
        client.track("u-1", "Second")
    client.close()
    assert [event["context"].get("campaign") for event in capture.events] == [{"term": "t"}] * 2
    assert [event.get("userId") for event in capture.events] == ["u-1"] * 2
    assert client.stats.notices["hook"] >= 4
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(set(lines))
    assert not any("secret" in line for line in lines)


class RaisingKey:
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("user", [lambda: 1 // 0, RaisingKey])
def test_a_user_that_raises_leaves_the_event_to_the_browsers_ids(user: Callable[[], Any]) -> None:
    client, capture = captured()
    with scope.of(values(Asked({"cookie": "ajs_anonymous_id=a"}), user, client)):
        assert client.track(event="E")
    client.close()
    assert [(event.get("userId"), event["anonymousId"]) for event in capture.events] == [(None, "a")]
    assert client.stats.notices == {"hook": 1}


def test_guarded_lets_pass_what_is_not_an_exception() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(None, "hook", stop)
    assert guarded(None, "hook", int, "x") is None
    assert guarded(None, "hook", int, "5") == 5


# -- options ---------------------------------------------------------------------------------------------------------


async def awaited(request: Any) -> str:
    return "u-1"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"trusted_proxies": True}, "trusted_proxies"),
        ({"trusted_proxies": -1}, "trusted_proxies"),
        ({"trusted_proxies": "1"}, "trusted_proxies"),
        ({"trusted_proxies": 101}, "trusted_proxies"),
        ({"proxy_header": "X-Real-IP"}, "proxy_header"),
        ({"proxy_header": []}, "proxy_header"),
        ({"omit": "page"}, "omit"),
        ({"omit": ["ip"]}, "omit"),
        ({"omit": [[]]}, "omit"),
        ({"vendor_cookies": "no"}, "vendor_cookies"),
        ({"cookie": ""}, "cookie"),
        ({"cookie": "a;b"}, "cookie"),
        ({"cookie": "a\n"}, "cookie"),
        ({"cookie": 5}, "cookie"),
        ({"user_id": "id"}, "user_id"),
        ({"user_id": awaited}, "user_id must not be async"),
        ({5: 5}, "names"),
        ([], "mapping"),
        (None, "mapping"),
    ],
)
def test_a_wrong_option_is_a_sentence(settings: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        separated(settings)


def test_settings_are_parted() -> None:
    options, rest = separated({"cookie": "c", "write_key": "k", "unheard_of": 1})
    assert options == Options(cookie="c")
    assert rest == {"write_key": "k", "unheard_of": 1}
