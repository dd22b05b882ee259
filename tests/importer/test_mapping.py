"""A mapping, in all the forms it may be written in, and the calls it makes of rows."""

import pickle
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from analytics_client import ConfigError, InvalidMessage
from analytics_client.importer import RowMapping
from analytics_client.importer.flags import combined
from analytics_client.importer.mapping import ARGUMENTS

COLUMNS = ["reviewerId", "vendorId", "rating", "date"]
ROW = ["7", "0", "5", "2006-04-07 17:08"]
REVIEW: dict[str, Any] = {
    "type": "track",
    "event": "Vendor Reviewed",
    "user_id": "reviewerId",
    "timestamp": "date",
    "properties": {"rating": {"column": "rating", "cast": "int"}, "vendorId": "vendorId"},
}
TOML = """
type = "track"
event = "Vendor Reviewed"
user_id = "reviewerId"
timestamp = "date"
[properties]
rating = { column = "rating", cast = "int" }
vendorId = "vendorId"
"""


def made(content: dict[str, Any], columns: list[str] | None = None, row: Any = None) -> tuple[str, dict[str, Any]]:
    row = ROW if row is None else row
    return RowMapping.from_dict(content).bind(COLUMNS if columns is None else columns, [row])(row)


def test_a_row_becomes_a_call() -> None:
    kind, arguments = made(REVIEW)
    assert kind == "track"
    assert arguments == {
        "user_id": "7",
        "event": "Vendor Reviewed",
        "timestamp": datetime(2006, 4, 7, 17, 8),
        "properties": {"rating": 5, "vendorId": "0"},
    }


def test_arguments_are_those_of_the_client() -> None:
    import inspect

    from analytics_client import Client

    for kind, names in ARGUMENTS.items():
        assert set(names) == set(inspect.signature(getattr(Client, kind)).parameters) - {"self"}


def test_toml_and_flags_and_dict_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(TOML)
    of_flags = combined(
        {},
        kind="track",
        event="Vendor Reviewed",
        columns={"user_id": "reviewerId", "timestamp": "date", "group_id": None},
        entries={"properties": ["rating:int", "vendorId"]},
    )
    mappings = [RowMapping.from_dict(REVIEW), RowMapping.from_toml(tmp_path / "m.toml"), RowMapping.from_dict(of_flags)]
    assert mappings[0] == mappings[1] == mappings[2]
    assert len({mapping.digest() for mapping in mappings}) == 1
    assert pickle.loads(pickle.dumps(mappings[0])) == mappings[0]


@pytest.mark.parametrize(
    "change",
    [
        {"event": "Other"},
        {"event": {"column": "vendorId"}},
        {"timestamp": {"column": "date", "format": "%Y"}},
        {"timezone": "Europe/Berlin"},
        {"nulls": ["", "NULL"]},
        {"properties": {"rating": {"column": "rating", "cast": "float"}, "vendorId": "vendorId"}},
        {"properties": "*"},
        {"context": {"ip": "vendorId"}},
    ],
)
def test_a_digest_differs_for_every_difference(change: dict[str, Any]) -> None:
    if "timestamp" in change:
        change = {"timestamp": {"column": "date", "format": "%Y-%m-%d %H:%M"}}
    assert RowMapping.from_dict(REVIEW | change).digest() != RowMapping.from_dict(REVIEW).digest()


def test_constants_templates_renames_and_nesting() -> None:
    kind, arguments = made(
        {
            "type": "page",
            "anonymous_id": {"template": "r-{reviewerId}"},
            "name": {"value": "Review"},
            "timestamp": {"column": "date"},
            "properties": {
                "both": {"template": "{vendorId}/{rating} {{x}}"},
                "sum": {"template": "{vendorId}{rating}", "cast": "int"},
                "stars": "rating",
                "source": {"value": "crm"},
                "fixed": 3,
            },
            "context": {"page": {"url": {"template": "https://example.com/{vendorId}"}, "title": {"value": "T"}}},
            "integrations": {"All": False, "Mixpanel": {"value": True}},
        }
    )
    assert kind == "page"
    assert arguments["anonymous_id"] == "r-7"
    assert arguments["name"] == "Review"
    assert arguments["properties"] == {"both": "0/5 {x}", "sum": 5, "stars": "5", "source": "crm", "fixed": 3}
    assert arguments["context"] == {"page": {"url": "https://example.com/0", "title": "T"}}
    assert arguments["integrations"] == {"All": False, "Mixpanel": True}


def test_a_constant_object_is_not_shared_between_rows() -> None:
    calls = RowMapping.from_dict({**REVIEW, "properties": {"a": {"value": 1}}}).bind(COLUMNS, [ROW])
    first = calls(ROW)[1]["properties"]
    first["b"] = 2
    assert calls(ROW)[1]["properties"] == {"a": 1}


def test_the_event_and_the_call_may_come_from_columns() -> None:
    content = {
        "type": {"column": "kind"},
        "event": {"column": "what"},
        "user_id": "who",
        "timestamp": "when",
        "properties": {"a": "a"},
        "traits": {"t": "a"},
    }
    columns = ["kind", "what", "who", "when", "a"]
    calls = RowMapping.from_dict(content).bind(columns, [["track", "E", "u", "2020-01-01", "1"]])
    kind, arguments = calls(["track", "E", "u", "2020-01-01", "1"])
    assert (kind, arguments["event"], arguments["properties"]) == ("track", "E", {"a": "1"})
    kind, arguments = calls(["identify", "", "u", "2020-01-01", "1"])
    assert kind == "identify"
    assert arguments["traits"] == {"t": "1"}
    assert not {"event", "properties"} & arguments.keys()
    with pytest.raises(InvalidMessage, match="type: must be one of identify, track"):
        calls(["explode", "", "u", "2020-01-01", "1"])


def test_every_other_column() -> None:
    content = {**REVIEW, "properties": {"*": "*", "stars": {"column": "rating", "cast": "int"}}}
    columns = [*COLUMNS, "city", "_rejected"]
    _, arguments = made(content, columns, [*ROW, "Oslo", "line 3: was wrong"])
    assert arguments["properties"] == {"stars": 5, "vendorId": "0", "city": "Oslo"}


def test_blank_cells_and_nulls_are_left_out() -> None:
    content = {**REVIEW, "nulls": ["", "NULL"]}
    _, arguments = made(content, row=["7", "NULL", "", "2006-04-07"])
    assert arguments["properties"] == {}
    _, arguments = made(REVIEW, row=["7", "NULL", "4", "2006-04-07"])
    assert arguments["properties"] == {"rating": 4, "vendorId": "NULL"}
    template = {**REVIEW, "properties": {"both": {"template": "{vendorId} {rating}"}}}
    assert made(template, row=["7", "", "4", "2006-04-07"])[1]["properties"] == {}


def test_rows_that_are_objects() -> None:
    row = {"reviewerId": 7, "vendorId": None, "rating": 5, "date": 1_144_429_680, "extra": [1]}
    calls = RowMapping.from_dict(REVIEW).bind(None, [row])
    assert calls(row)[1]["properties"] == {"rating": 5}
    assert calls(row)[1]["timestamp"].isoformat() == "2006-04-07T17:08:00+00:00"
    assert calls({"reviewerId": 7, "date": 1})[1]["properties"] == {}
    with pytest.raises(ConfigError, match="'vendorId', which the data does not have: its columns are 'reviewerId'"):
        RowMapping.from_dict(REVIEW).bind(None, [{"reviewerId": 7, "rating": 1, "date": 1}])


@pytest.mark.parametrize(
    ("cast", "text", "expected"),
    [
        ("int", "5", 5),
        ("int", " -07 ", -7),
        ("int", "1_000", None),
        ("int", "٣", None),
        ("int", "5.0", None),
        ("float", "14.99", 14.99),
        ("float", "0.1000000000000000055", Decimal("0.1000000000000000055")),
        ("float", "1e999", Decimal("1e999")),
        ("float", "NaN", None),
        ("float", "inf", None),
        ("float", "1,5", None),
        ("bool", "Yes", True),
        ("bool", "0", False),
        ("bool", "2", None),
        ("json", '{"a": [1.50, 12345678901234567890]}', {"a": [1.5, 12345678901234567890]}),
        ("json", "{", None),
        ("json", "NaN", None),
        ("text", "x", "x"),
        ("date", "2020-01-02T03:04:05+02:00", datetime.fromisoformat("2020-01-02T03:04:05+02:00")),
        ("date", "2/3/2020", None),
    ],
)
def test_casts(cast: str, text: str, expected: Any) -> None:
    content = {**REVIEW, "properties": {"v": {"column": "vendorId", "cast": cast}}}
    calls = RowMapping.from_dict(content).bind(COLUMNS, [ROW])
    row = ["7", text, "5", "2006-04-07"]
    if expected is None:
        with pytest.raises(InvalidMessage, match=r"properties\.v: the column 'vendorId' is "):
            calls(row)
    else:
        value = calls(row)[1]["properties"]["v"]
        assert value == expected
        assert type(value) is type(expected)


def test_an_integer_of_any_length() -> None:
    content = {**REVIEW, "properties": {"v": {"column": "vendorId", "cast": "int"}}}
    _, arguments = made(content, row=["7", "9" * 5_000, "5", "2006-04-07"])
    assert arguments["properties"]["v"] == 10**5_000 - 1


def test_a_row_without_its_time_is_refused() -> None:
    calls = RowMapping.from_dict(REVIEW).bind(COLUMNS, [ROW])
    with pytest.raises(InvalidMessage, match="the column 'date' is blank"):
        calls(["7", "0", "5", ""])
    with pytest.raises(InvalidMessage, match="timestamp: the column 'date' is no date of the form iso") as caught:
        calls(["7", "0", "5", "soon"])
    assert "soon" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "type is missing"),
        ({"type": "explode"}, "type must be one of identify"),
        ({"type": "track", "event": "E", "timestamp": "t"}, "a user_id or an anonymous_id is needed"),
        ({"type": "track", "event": "E", "user_id": "u"}, "track needs timestamp: history without its time"),
        ({"type": "track", "user_id": "u", "timestamp": "t"}, "track needs event"),
        ({"type": "group", "user_id": "u"}, "group needs group_id"),
        ({"type": "identify", "user_id": "u", "properties": {"a": "a"}}, "identify has no properties; it has user_id"),
        ({**REVIEW, "userid": "u"}, "userid is no field of a call"),
        ({**REVIEW, "properties": {"a": {"column": "a", "cast": "integer"}}}, "properties.a.cast is 'integer'; known"),
        ({**REVIEW, "properties": {"a": {"column": "a", "value": 1}}}, "must have one of column, value and template"),
        ({**REVIEW, "properties": {"a": {"col": "a"}}}, "properties.a has col; known are cast, column"),
        ({**REVIEW, "properties": {"a": {"template": "x"}}}, "the template of properties.a names no column"),
        ({**REVIEW, "properties": {"a": {"template": "{x"}}}, "the template of properties.a cannot be read"),
        ({**REVIEW, "properties": {"a": {"template": "{x!r}"}}}, "only columns are filled"),
        ({**REVIEW, "properties": ["a"]}, "properties must be a table"),
        ({**REVIEW, "nulls": "x"}, "nulls must be a list"),
        ({**REVIEW, "timezone": "Mars/Olympus"}, "no timezone is called 'Mars/Olympus'"),
        ({**REVIEW, "timestamp": {"column": "d", "format": "%Q"}}, "has %Q; known are"),
        ({**REVIEW, "timestamp": {"column": "d", "format": "%H:%M"}}, "names no whole date"),
        ({**REVIEW, "timestamp": {"column": "d", "format": "%Y-%m-%d %Y"}}, "a part of the date twice"),
    ],
)
def test_a_wrong_mapping_is_one_clear_sentence(content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RowMapping.from_dict(content)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        RowMapping.from_toml(tmp_path / "none.toml")
    (tmp_path / "m.toml").write_text("type = =\n")
    with pytest.raises(ConfigError, match=r"is not TOML: .*line 1"):
        RowMapping.from_toml(tmp_path / "m.toml")


def test_columns_that_are_missing_or_twice() -> None:
    mapping = RowMapping.from_dict(REVIEW)
    with pytest.raises(
        ConfigError, match="names the column 'date', which the data does not have: its columns are 'rev"
    ):
        mapping.bind(COLUMNS[:3], [])
    with pytest.raises(ConfigError, match="the data has 2 columns 'date': which one is meant"):
        mapping.bind([*COLUMNS, "date"], [])


def test_identify_needs_no_time() -> None:
    kind, arguments = made({"type": "identify", "user_id": "reviewerId", "traits": {"r": "rating"}})
    assert (kind, arguments) == ("identify", {"user_id": "7", "traits": {"r": "5"}})


def test_flags() -> None:
    content = combined(
        {"type": "track", "properties": {"old": "o"}, "timestamp": "d"},
        columns={"event": "what", "user_id": "u"},
        timestamp_format="epoch_ms",
        timezone="Europe/Berlin",
        nulls=["-"],
        entries={"properties": ["stars=rating:int", "a:b", "*"], "context": ["page.url=url", "ip"]},
        constants=["properties.source=crm", "context.app.name=shop", "name=N"],
        templates=["properties.t={a} b"],
    )
    assert content == {
        "type": "track",
        "event": {"column": "what"},
        "user_id": {"column": "u"},
        "timestamp": {"column": "d", "format": "epoch_ms"},
        "timezone": "Europe/Berlin",
        "nulls": ["-"],
        "name": {"value": "N"},
        "properties": {
            "old": "o",
            "stars": {"column": "rating", "cast": "int"},
            "a:b": {"column": "a:b"},
            "*": "*",
            "source": {"value": "crm"},
            "t": {"template": "{a} b"},
        },
        "context": {"page": {"url": {"column": "url"}}, "ip": {"column": "ip"}, "app": {"name": {"value": "shop"}}},
    }


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"constants": ["x"]}, "--constant is written FIELD=TEXT"),
        ({"constants": ["event.x=1"]}, "before the dot stands one of properties"),
        ({"entries": {"properties": [":int"]}}, "names no column"),
        ({"timestamp_format": "iso"}, "--timestamp-format needs the column"),
    ],
)
def test_wrong_flags(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        combined({}, **{"columns": {}, "entries": {}, **given})
