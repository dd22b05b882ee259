import copy
import enum
import uuid
from typing import Any

import numpy as np
import pytest

from analytics_client.errors import InvalidMessage
from analytics_client.message import FIELDS, Defaults, build, detached
from analytics_client.scopes import Scope


class Named(enum.Enum):
    PURCHASE = "Item Purchased"


LIBRARY = {"name": "lib", "version": "1"}
OWN: dict[str, dict[str, Any]] = {
    "identify": {"traits": {"email": "e"}},
    "track": {"event": "E", "properties": {"p": 1}, "traits": None},
    "page": {"category": "c", "name": "n", "properties": None},
    "screen": {"category": None, "name": "n", "properties": {"p": 1}},
    "group": {"groupId": "g", "traits": None},
    "alias": {"previousId": "p", "traits": None},
    "merge": {"mergeProperties": [{"type": "email", "value": "e"}]},
}


def make(kind: str = "track", own: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    reports: list[tuple[str, str]] = given.pop("reports", [])
    defaults = Defaults.prepare(given.pop("client_context", None), given.pop("client_integrations", None), LIBRARY)
    scope = given.pop("scope", None)
    call = {
        "user_id": "u",
        "anonymous_id": None,
        "context": None,
        "timestamp": None,
        "integrations": None,
        "message_id": None,
    } | given
    return build(
        kind,
        OWN[kind] | (own or {}),
        **call,
        defaults=defaults,
        scope=scope,
        new_id="new-id",
        now="2022-02-01T19:14:18.381Z",
        report=lambda *report: reports.append(report),
    )


@pytest.mark.parametrize("kind", FIELDS)
def test_every_kind_has_its_stamps_and_no_nulls(kind: str) -> None:
    message = make(kind)
    assert message["type"] == kind
    assert message["messageId"] == "new-id"
    assert message["timestamp"] == "2022-02-01T19:14:18.381Z"
    assert message["userId"] == "u"
    assert message["context"] == {"library": LIBRARY}
    assert None not in message.values()
    assert set(OWN[kind]) - set(message) == {name for name, value in OWN[kind].items() if value is None} - {
        "properties" if kind == "page" else ""
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("u-1", "u-1"),
        (0, "0"),
        (42, "42"),
        (np.int64(7), "7"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Named.PURCHASE, "Item Purchased"),
        ("  spaced ", "  spaced "),
        ("日本", "日本"),
    ],
)
def test_ids_are_text_on_the_wire(value: Any, text: str) -> None:
    assert make(user_id=value)["userId"] == text
    assert make(user_id=None, anonymous_id=value)["anonymousId"] == text
    assert make("group", {"groupId": value})["groupId"] == text
    assert make("alias", {"previousId": value})["previousId"] == text


@pytest.mark.parametrize("value", [True, 1.5, [], {}, object(), b"u"])
def test_other_types_are_no_ids(value: Any) -> None:
    with pytest.raises(InvalidMessage, match=f"userId: .*not {type(value).__name__}"):
        make(user_id=value)
    with pytest.raises(InvalidMessage, match=f"anonymousId: .*not {type(value).__name__}"):
        make(anonymous_id=value)
    with pytest.raises(InvalidMessage, match=f"groupId: .*not {type(value).__name__}"):
        make("group", {"groupId": value})
    with pytest.raises(InvalidMessage, match=f"previousId: .*not {type(value).__name__}"):
        make("alias", {"previousId": value})


@pytest.mark.parametrize("blank", [None, "", "  ", "\u200b", "\u00a0\t"])
def test_a_blank_id_is_none(blank: Any) -> None:
    assert "userId" not in make(user_id=blank, anonymous_id="a")
    with pytest.raises(InvalidMessage, match="track needs a user_id or an anonymous_id"):
        make(user_id=blank)
    with pytest.raises(InvalidMessage, match="alias needs a user_id "):
        make("alias", user_id=blank)
    with pytest.raises(InvalidMessage, match="groupId: is required"):
        make("group", {"groupId": blank})
    with pytest.raises(InvalidMessage, match="previousId: is required"):
        make("alias", {"previousId": blank})


@pytest.mark.parametrize("event", [None, "", 5, ["E"]])
def test_a_track_needs_a_name(event: Any) -> None:
    with pytest.raises(InvalidMessage, match="event: "):
        make(own={"event": event})


def test_an_enum_may_name_an_event() -> None:
    assert make(own={"event": Named.PURCHASE})["event"] == "Item Purchased"


@pytest.mark.parametrize(("kind", "name"), [("track", "properties"), ("identify", "traits"), ("page", "properties")])
def test_properties_and_traits_must_be_mappings(kind: str, name: str) -> None:
    for value in ([], "text", 5, [("a", 1)]):
        with pytest.raises(InvalidMessage, match=f"{name}: must be a mapping, not"):
            make(kind, {name: value})
    from types import MappingProxyType

    assert make(kind, {name: MappingProxyType({"a": 1})})[name] == {"a": 1} | (
        {"category": "c"} if kind == "page" else {}
    )


def test_context_and_integrations_must_be_mappings() -> None:
    with pytest.raises(InvalidMessage, match="context: must be a mapping, not list"):
        make(context=[])
    with pytest.raises(InvalidMessage, match="integrations: must be a mapping, not str"):
        make(integrations="All")


def test_a_mapping_that_raises_is_contained() -> None:
    from collections import UserDict

    class Other(UserDict[str, Any]):
        def __iter__(self) -> Any:
            raise RuntimeError("secret")

    with pytest.raises(InvalidMessage, match="properties: reading the mapping raised RuntimeError"):
        make(own={"properties": Other(a=1)})


def test_a_message_id_is_kept_or_refused_never_replaced() -> None:
    assert make(message_id="mine")["messageId"] == "mine"
    assert make(message_id=uuid.UUID(int=1))["messageId"] == str(uuid.UUID(int=1))
    assert make(message_id="x" * 99)["messageId"] == "x" * 99
    for bad in ("x" * 100, "", " ", 5):
        with pytest.raises(InvalidMessage, match="messageId: "):
            make(message_id=bad)


def test_a_category_goes_to_both_places_and_overrides_nothing() -> None:
    message = make("page", {"properties": {"path": "/"}})
    assert message["category"] == "c"
    assert message["properties"] == {"category": "c", "path": "/"}
    assert make("page", {"properties": {"category": "mine"}})["properties"] == {"category": "mine"}


def test_context_is_merged_client_scope_call() -> None:
    message = make(
        client_context={"app": {"name": "shop", "build": 1}, "ip": "1.1.1.1"},
        scope=Scope(context={"app": {"build": 2}, "locale": "de"}),
        context={"ip": "3.3.3.3"},
    )
    assert message["context"] == {
        "library": LIBRARY,
        "app": {"name": "shop", "build": 2},
        "ip": "3.3.3.3",
        "locale": "de",
    }


@pytest.mark.parametrize(
    "given_context",
    [
        {"context": {"library": {"name": "theirs"}}},
        {"client_context": {"library": {"name": "theirs"}}},
        {"scope": Scope(context={"library": {"name": "theirs"}})},
    ],
)
def test_a_library_of_the_callers_own_is_left_alone(given_context: Any) -> None:
    assert make(**given_context)["context"] == {"library": {"name": "theirs"}}


def test_integrations_are_merged_and_checked() -> None:
    reports: list[tuple[str, str]] = []
    message = make(
        client_integrations={"All": False},
        scope=Scope(integrations={"Mixpanel": True}),
        integrations={"Mixpanel": {"x": 1}, "Bad": 1, "all": True},
        reports=reports,
    )
    assert message["integrations"] == {"All": False, "Mixpanel": {"x": 1}, "all": True}
    assert [path for path, _ in reports] == ["integrations.Bad", "integrations.all"]
    assert "integrations" not in make()


def test_the_scope_fills_what_the_call_leaves_out() -> None:
    assert make(user_id=None, scope=Scope("u", "a"))["anonymousId"] == "a"
    assert make(user_id="other", scope=Scope("u", "a")).get("anonymousId") is None
    assert "anonymousId" not in make("alias", scope=Scope("u", "a"))


def test_nothing_the_caller_owns_is_changed() -> None:
    owned = {
        "properties": {"a": {"b": 1}},
        "context": {"page": {"path": "/"}},
        "integrations": {"All": False},
        "client_context": {"page": {"title": "T"}},
    }
    before = copy.deepcopy(owned)
    make(
        "page",
        {"properties": owned["properties"]},
        context=owned["context"],
        integrations=owned["integrations"],
        client_context=owned["client_context"],
        client_integrations={"Mixpanel": True},
    )
    assert owned == before


@pytest.mark.parametrize("bad", [None, [], {}, [5], [{"type": "email"}], "text"])
def test_merge_wants_pairs(bad: Any) -> None:
    with pytest.raises(InvalidMessage, match="mergeProperties"):
        make("merge", {"mergeProperties": bad})


def test_a_detached_message_shares_no_dict_or_list() -> None:
    marker = object()
    inner: dict[str, Any] = {"list": [{"a": 1}], "marker": marker}
    inner["me"] = inner
    message = {"type": "track", "properties": inner, "again": inner}
    copied = detached(message)
    copied["properties"]["list"][0]["a"] = 2
    assert inner["list"] == [{"a": 1}]
    assert copied["properties"]["me"] is copied["properties"]
    assert copied["again"] is copied["properties"]
    assert copied["properties"]["marker"] is marker
