"""Spark's rows as calls: needs the types of pyspark, and no Spark."""

import pickle
from datetime import UTC, date, datetime
from typing import Any

import pytest

from analytics_client import ConfigError, InvalidMessage
from analytics_client.importer import RowMapping

pytest.importorskip("pyspark", reason="the extra spark is not installed; the full tier installs it")

from pyspark.sql import Row
from pyspark.sql.types import (
    ArrayType,
    DateType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from analytics_client.contrib.spark_rows import RowCalls, RowIds


def schema(**columns: Any) -> StructType:
    return StructType([StructField(name, kind) for name, kind in columns.items()])


def call(columns: StructType, *values: Any, mapping: dict[str, Any] | None = None, **given: str) -> Any:
    made = RowMapping.from_dict(mapping) if mapping else None
    calls = RowCalls(columns, made, given.get("kind"), given.get("event"))
    again = pickle.loads(pickle.dumps(calls))
    row = Row(*columns.fieldNames())(*values)
    assert calls(row) == again(row)
    return calls(row)


def test_spec_names_are_taken_as_such_and_the_rest_are_properties() -> None:
    columns = schema(
        type=StringType(), userId=StringType(), event=StringType(), timestamp=StringType(), rating=LongType()
    )
    kind, arguments = call(columns, "track", "u-1", "Reviewed", "2006-04-07T17:08:00Z", 5)
    assert kind == "track"
    assert arguments == {
        "user_id": "u-1",
        "event": "Reviewed",
        "timestamp": "2006-04-07T17:08:00Z",
        "properties": {"rating": 5},
    }


def test_python_names_and_traits() -> None:
    columns = schema(user_id=LongType(), plan=StringType(), traits=MapType(StringType(), StringType()))
    kind, arguments = call(columns, 7, "pro", {"city": "Paris"}, kind="identify")
    assert (kind, arguments) == ("identify", {"user_id": 7, "traits": {"city": "Paris", "plan": "pro"}})


def test_nothing_is_sent_for_nulls() -> None:
    columns = schema(userId=StringType(), timestamp=TimestampType(), coupon=StringType())
    _, arguments = call(columns, "u", datetime(2006, 4, 7, 17, 8), None, kind="track", event="E")
    assert set(arguments) == {"user_id", "timestamp", "event"}


def test_structs_become_dicts_and_moments_get_their_zone() -> None:
    inner = schema(at=TimestampType(), count=IntegerType())
    columns = schema(userId=StringType(), timestamp=TimestampNTZType(), items=ArrayType(inner), day=DateType())
    moment = datetime(2006, 4, 7, 17, 8)
    values = ("u", moment, [Row("at", "count")(moment, 2), None], date(2006, 4, 7))
    _, arguments = call(columns, *values, kind="track", event="E")
    assert arguments["timestamp"] == moment  # without a zone it means UTC, to the client as to Spark
    items = arguments["properties"]["items"]
    assert items == [{"at": moment.astimezone(UTC), "count": 2}, None]
    assert items[0]["at"].tzinfo is UTC


def test_a_mapping() -> None:
    columns = schema(reviewerId=StringType(), date=StringType(), rating=StringType())
    mapping = {
        "type": "track",
        "event": "Reviewed",
        "user_id": "reviewerId",
        "timestamp": "date",
        "properties": {"rating": {"column": "rating", "cast": "int"}},
    }
    kind, arguments = call(columns, "7", "2006-04-07 17:08", "5", mapping=mapping)
    assert kind == "track"
    assert arguments["properties"] == {"rating": 5}
    assert arguments["timestamp"] == datetime(2006, 4, 7, 17, 8)
    with pytest.raises(InvalidMessage, match="'rating'"):
        call(columns, "7", "2006-04-07 17:08", "many", mapping=mapping)
    with pytest.raises(InvalidMessage, match="'date'"):
        call(columns, "7", "07/04/2006", "5", mapping=mapping)


def test_columns_that_make_no_event_are_refused_on_the_driver() -> None:
    with pytest.raises(ConfigError, match='"type"'):
        RowCalls(schema(userId=StringType()), None, None, None)
    with pytest.raises(ConfigError, match='"userId"'):
        RowCalls(schema(type=StringType()), None, None, None)
    mapping = RowMapping.from_dict({"type": "identify", "user_id": "nobody"})
    with pytest.raises(ConfigError, match="'nobody'"):
        RowCalls(schema(userId=StringType()), mapping, None, None)


def test_ids_are_the_same_in_any_order_and_differ_for_equal_rows() -> None:
    rows = [{"user_id": "a"}, {"user_id": "b"}, {"user_id": "a"}, {"user_id": "a"}]
    first, second = RowIds("3/"), RowIds("3/")
    ids = [first("track", row) for row in rows]
    assert len(set(ids)) == 4
    assert sorted(ids) == sorted(second("track", row) for row in reversed(rows))
    other = RowIds("4/")
    assert not {other("track", row) for row in rows} & set(ids)
    assert all(len(each) < 100 for each in ids)


def test_the_driver_tells_the_total(capsys: pytest.CaptureFixture[str]) -> None:
    from analytics_client.contrib.spark import Written, _say

    _say([Written(0, 1_000, 0), None, Written(1, 234, 2)], " in batch 7")
    assert capsys.readouterr().err == (
        "analytics: 1,234 events delivered from 2 partitions in batch 7, 2 rows left out as invalid\n"
    )
