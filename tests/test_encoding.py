import collections
import dataclasses
import datetime as dt
import enum
import json
import math
import pathlib
import threading
import types
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client import encoding
from analytics_client.dialects import DIALECTS
from analytics_client.encoding import encode, too_large
from analytics_client.errors import InvalidMessage

SEGMENT = DIALECTS["segment"]


class Reports(list[tuple[str, str]]):
    def __call__(self, path: str, problem: str) -> None:
        self.append((path, problem))

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self]


def raising(path: str, problem: str) -> None:
    raise InvalidMessage(path, problem)


def text_of(value: Any, reports: Any = raising, default: Any = None) -> str:
    """Encode a value as one property and return its JSON text."""
    message = {"type": "track", "event": "E", "properties": {"v": value}}
    whole = encode(message, SEGMENT, reports, default).decode() + "}"
    return whole.removeprefix('{"type":"track","event":"E","properties":').removesuffix("}")


@pytest.fixture(params=["orjson", "json"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of encoding: with orjson, and without it."""
    if request.param == "json":
        monkeypatch.setattr(encoding, "orjson", None)
    return str(request.param)


class Color(enum.Enum):
    RED = "red"
    NESTED = {"deep": Decimal("1.10")}  # noqa: RUF012 - a member, not a default


class Priority(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int


class Model(pydantic.BaseModel):
    price: Decimal
    when: dt.datetime


@attrs.define
class Attrs:
    a: int
    b: Any = attrs.field(factory=list)


class Promise:
    """As Django's lazy translations are."""

    def __str__(self) -> str:
        return "übersetzt"


class LazyString:
    """As Flask-Babel's are: with the methods of text, but no text."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> str:
        return "abc"[index]

    def __str__(self) -> str:
        return "abc"


Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024

TABLE: list[tuple[Any, str]] = [
    ("text", '"text"'),
    ("emoji 😀 é \n", '"emoji 😀 é \\n"'),
    (5, "5"),
    (-(2**63), "-9223372036854775808"),
    (2**64 - 1, "18446744073709551615"),
    (2**53 + 1, "9007199254740993"),
    (2**64, "18446744073709551616"),
    (-(2**70), "-1180591620717411303424"),
    (1.5, "1.5"),
    (True, "true"),
    (None, "null"),
    ({"a": {"b": 1}}, '{"a":{"b":1}}'),
    ([1, [2]], "[1,[2]]"),
    ((1, 2), "[1,2]"),
    (Pair(1, 2), "[1,2]"),
    ({1}, "[1]"),
    (frozenset({"x"}), '["x"]'),
    (dt.datetime(2022, 2, 1, 19, 14), '"2022-02-01T19:14:00Z"'),
    (dt.datetime(2022, 2, 1, 19, 14, 18, 381_000, dt.UTC), '"2022-02-01T19:14:18.381000Z"'),
    (dt.datetime(2022, 2, 1, tzinfo=dt.timezone(dt.timedelta(hours=5.5))), '"2022-02-01T00:00:00+05:30"'),
    (dt.date(2022, 2, 1), '"2022-02-01"'),
    (dt.time(19, 14, 18), '"19:14:18"'),
    (dt.time(19, 14, tzinfo=dt.UTC), '"19:14:00+00:00"'),
    (dt.timedelta(days=1, hours=2, minutes=3, seconds=4.5), '"P1DT2H3M4.5S"'),
    (dt.timedelta(0), '"PT0S"'),
    (dt.timedelta(days=2), '"P2D"'),
    (dt.timedelta(minutes=-90), '"-PT1H30M"'),
    (dt.timedelta(microseconds=1), '"PT0.000001S"'),
    (Decimal("19.990"), "19.990"),
    (Decimal("1E+400"), "1E+400"),
    (Decimal("0.1234567890123456789012345678901234567890"), "0.1234567890123456789012345678901234567890"),
    (uuid.UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
    (Color.RED, '"red"'),
    (Color.NESTED, '{"deep":1.10}'),
    (Priority.HIGH, "3"),
    (Point(1, Point(2)), '{"x":1,"y":{"x":2,"y":null}}'),
    (Slotted(1), '{"x":1}'),
    (Model(price=Decimal("1.50"), when=dt.datetime(2022, 2, 1)), '{"price":1.50,"when":"2022-02-01T00:00:00Z"}'),
    (Attrs(1, {Decimal(2)}), '{"a":1,"b":[2]}'),
    (np.int64(5), "5"),
    (np.uint8(5), "5"),
    (np.float64(0.5), "0.5"),
    (np.float32(0.5), "0.5"),
    (np.bool_(True), "true"),
    (np.str_("x"), '"x"'),
    (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
    (np.array(5), "5"),
    (np.datetime64("2022-02-01T19:14:18.381999999"), '"2022-02-01T19:14:18.381999Z"'),
    (np.datetime64("NaT"), "null"),
    (np.timedelta64(90, "m"), '"PT1H30M"'),
    (pathlib.PurePosixPath("/a/b"), '"/a/b"'),
    (b"bytes", '"bytes"'),
    (bytearray("é".encode()), '"é"'),
    (memoryview(b"view"), '"view"'),
    (collections.OrderedDict(a=1), '{"a":1}'),
    (collections.UserDict(a=1), '{"a":1}'),
    (types.MappingProxyType({"a": 1}), '{"a":1}'),
    (collections.ChainMap({"a": 1}), '{"a":1}'),
    (collections.deque([1, 2]), "[1,2]"),
    (collections.UserList([1, 2]), "[1,2]"),
    (collections.UserString("us"), '"us"'),
    (range(3), "[0,1,2]"),
    ({"a": 1}.keys(), '["a"]'),
    ({"a": 1}.values(), "[1]"),
    (map(str, [1, 2]), '["1","2"]'),
    (Promise(), '"übersetzt"'),
    (LazyString(), '"abc"'),
    (math.nan, "null"),
    (math.inf, "null"),
    (Decimal("NaN"), "null"),
    (Decimal("-Infinity"), "null"),
    ("a\ud800b", '"a\ufffdb"'),
    ("\ud83d\ude00", '"😀"'),
    ({"\ud800": 1}, '{"\ufffd":1}'),
    ({2: "a", 1.5: "b", None: "c", True: "d"}, '{"2":"a","1.5":"b","null":"c","true":"d"}'),
    ({Color.RED: 1, uuid.UUID(int=5): 2}, '{"red":1,"00000000-0000-0000-0000-000000000005":2}'),
    ({dt.date(2022, 2, 1): 1, b"k": 2, 2**70: 3}, '{"2022-02-01":1,"k":2,"1180591620717411303424":3}'),
]


@pytest.mark.parametrize(("value", "text"), TABLE, ids=lambda each: type(each).__name__)
def test_what_values_become(encoder: str, value: Any, text: str) -> None:
    if isinstance(value, map):
        value = map(str, [1, 2])  # it can be read once only
    assert text_of(value) == f'{{"v":{text}}}'


def test_generators_are_read_once_and_in_order(encoder: str) -> None:
    assert text_of(each * 2 for each in range(3)) == '{"v":[0,2,4]}'


def test_a_long_integer_keeps_its_digits(encoder: str) -> None:
    digits = text_of(10**5_000 + 7)
    assert digits == '{"v":1' + "0" * 4_999 + "7}"


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("secret")

    __repr__ = __str__


class RudeMapping(collections.UserDict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        yield "a"
        raise RuntimeError("secret")


class RudeZone(dt.tzinfo):
    def utcoffset(self, _moment: dt.datetime | None) -> dt.timedelta:
        raise RuntimeError("secret")

    dst = utcoffset

    def tzname(self, _moment: dt.datetime | None) -> str:
        return "rude"


class RudePromise(Promise):
    def __str__(self) -> str:
        raise RuntimeError("secret")


def rude_generator() -> Iterator[int]:
    yield 1
    raise RuntimeError("secret")


def endless() -> Iterator[int]:
    while True:
        yield 1


def cycle() -> dict[str, Any]:
    ring: dict[str, Any] = {}
    ring["list"] = [ring]
    return ring


def nested(levels: int) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for _ in range(levels):
        tree = {"d": tree}
    return tree


NO_RULE: list[tuple[Any, str, str, str]] = [
    # value, path of what is left out, a part of the sentence, what remains
    (object(), "properties.v", "type object has no form in JSON", "{}"),
    (Rude(), "properties.v", "type Rude has no form in JSON", "{}"),
    (1j, "properties.v", "type complex", "{}"),
    (int, "properties.v", "type type", "{}"),
    (b"\xff", "properties.v", "not UTF-8", "{}"),
    (RudeMapping(a=1), "properties.v", "raised RuntimeError", "{}"),
    (RudePromise(), "properties.v", "raised RuntimeError", "{}"),
    (rude_generator, "properties.v", "raised RuntimeError", "{}"),
    (endless, "properties.v", "more than 65,536 values", "{}"),
    (dt.datetime(2022, 1, 1, tzinfo=RudeZone()), "properties.v", "raised RuntimeError", "{}"),
    (cycle(), "properties.v.list[0]", "holds itself", '{"v":{"list":[]}}'),
    ([1, object(), 3], "properties.v[1]", "type object", '{"v":[1,3]}'),
    (
        {"items": [0, 1, 2, {"raw": b"\xff", "ok": 1}]},
        "properties.v.items[3].raw",
        "not UTF-8",
        '{"v":{"items":[0,1,2,{"ok":1}]}}',
    ),
    ({1: "first", "1": "second"}, "properties.v.1", "the first one is kept", '{"v":{"1":"first"}}'),
    ({(1, 2): "x", "ok": 1}, "properties.v.<key of type tuple>", "type tuple has no form", '{"v":{"ok":1}}'),
    ({Rude(): "x"}, "properties.v.<key of type Rude>", "type Rude has no form", '{"v":{}}'),
]


@pytest.mark.parametrize(("value", "path", "sentence", "rest"), NO_RULE, ids=lambda each: type(each).__name__)
def test_what_has_no_rule_is_left_out_and_named(encoder: str, value: Any, path: str, sentence: str, rest: str) -> None:
    def fresh() -> Any:
        return value() if isinstance(value, types.FunctionType) else value

    reports = Reports()
    assert text_of(fresh(), reports) == rest
    assert reports.paths == [path]
    assert sentence in reports[0][1]
    with pytest.raises(InvalidMessage, match=sentence) as caught:
        text_of(fresh())
    assert caught.value.path == path
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("levels", [100, 249, 250, 254, 300, 5_000])
def test_depth_is_bounded_without_recursion(encoder: str, dialect: Any, levels: int) -> None:
    reports = Reports()
    message = {"type": "track", "event": "E", "properties": nested(levels), "messageId": "m", "timestamp": "t"}
    data = encode(message, dialect, reports, None)
    assert json.loads(data + b"}")
    if levels >= 255:
        [path] = reports.paths
        assert path.startswith("properties.d.d")
        assert len(path) < 250


def test_the_default_hook_is_asked_about_what_has_no_rule(encoder: str) -> None:
    class Money:
        def __init__(self, amount: str) -> None:
            self.amount = Decimal(amount)

    def default(value: Any) -> Any:
        if isinstance(value, Money):
            return {"amount": value.amount, "of": {1}}
        raise TypeError("secret")

    assert text_of(Money("1.10"), default=default) == '{"v":{"amount":1.10,"of":[1]}}'
    reports = Reports()
    assert text_of([object(), 1], reports, default) == '{"v":[1]}'
    assert reports == [("properties.v[0]", "converting it raised TypeError")]


def test_a_default_hook_that_gives_back_what_it_got_ends(encoder: str) -> None:
    reports = Reports()
    assert text_of(object(), reports, lambda value: value) == "{}"
    assert "after 16 conversions" in reports[0][1]


def test_a_dict_changed_by_another_thread_meanwhile_does_no_harm(encoder: str) -> None:
    shared: dict[str, Any] = {str(each): {each} for each in range(200)}
    stop = threading.Event()

    def change() -> None:
        count = 0
        while not stop.is_set():
            shared[f"new{count % 50}"] = {count}
            shared.pop(f"new{(count + 25) % 50}", None)
            count += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            assert json.loads(text_of(shared))["v"]["0"] == [0]
    finally:
        stop.set()
        thread.join()


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON_VALUES, st.booleans())
def test_json_like_values_survive_unchanged(value: Any, slowly: bool) -> None:
    wrapped = {"value": value, "slow": {1} if slowly else [1]}
    assert json.loads(text_of(wrapped)) == {"v": {"value": value, "slow": [1]}}


ANYTHING = st.recursive(
    st.sampled_from([each for each, _ in TABLE if not isinstance(each, map)] + [object(), b"\xff", "\ud800", math.nan])
    | st.text()
    | st.integers()
    | st.decimals()
    | st.timedeltas()
    | st.datetimes()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.tuples(st.integers()), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(ANYTHING)
def test_whatever_it_is_the_result_is_json_and_both_ways_agree(value: Any) -> None:
    reports, others = Reports(), Reports()
    with_orjson = text_of(value, reports)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "orjson", None)
        without = text_of(value, others)
    assert json.loads(without) == json.loads(with_orjson)
    assert set(others.paths) == set(reports.paths)


def test_too_large_names_the_largest_keys_wherever_they_are() -> None:
    message = {
        "type": "track",
        "properties": {"html": "x" * 300, "big": 10**4_500, "small": 1},
        "context": {"page": {"body": "y" * 200}},
    }
    error = too_large(encode(message, SEGMENT, raising, None), 1, 100)
    assert error.largest == (("properties.big", 4_501), ("properties.html", 302), ("context.page", 211))
    assert str(error).startswith("message: 5,")
    assert "the limit is 100; the largest keys: properties.big (4,501), properties.html (302)" in str(error)
    assert "xxx" not in str(error)
