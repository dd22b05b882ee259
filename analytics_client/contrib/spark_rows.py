"""Spark's rows as calls, and the ids of rows. Pure, pickled for the executors.

Columns with the spec's names (userId, event, timestamp, properties, ...) are taken as such, and every other column
becomes a property, or a trait where the call has those; or a `RowMapping` says what each is. Owns what Spark's types
become: structs dicts, timestamps moments with their zone.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Row
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DateType,
    MapType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from analytics_client import ConfigError
from analytics_client.importer import DateForm, RowMapping
from analytics_client.importer.binding import Call, Calls
from analytics_client.importer.messages import Messages

#: The spec's names, as columns may be called: as on the wire, or in Python's way.
_SPEC = {
    "type": ("type",),
    "event": ("event",),
    "userId": ("userId", "user_id"),
    "anonymousId": ("anonymousId", "anonymous_id"),
    "groupId": ("groupId", "group_id"),
    "previousId": ("previousId", "previous_id"),
    "messageId": ("messageId", "message_id"),
    "timestamp": ("timestamp",),
    "originalTimestamp": ("originalTimestamp",),
    "name": ("name",),
    "category": ("category",),
    "properties": ("properties",),
    "traits": ("traits",),
    "context": ("context",),
    "integrations": ("integrations",),
}
_WITH_TRAITS = ("identify", "group", "alias")


class RowCalls:
    """Makes the call of each row.

    Args:
        schema: the DataFrame's.
        mapping: what the columns are; None: the spec's names.
        kind, event: the call and the event's name, where no column has them.

    Raises:
        ConfigError: the columns make no event, or the form of their times cannot be known.
    """

    def __init__(self, schema: StructType, mapping: RowMapping | None, kind: str | None, event: str | None) -> None:
        self._columns = schema.fieldNames()
        self._schema = schema
        self._mapping = mapping
        self._constants = {key: value for key, value in (("type", kind), ("event", event)) if value is not None}
        if mapping is not None:
            self._bound()  # refuses what is missing, on the driver
        else:
            self._wire = {column: wire for wire, names in _SPEC.items() for column in names if column in self._columns}
            if "type" not in {*self._wire.values(), *self._constants}:
                raise ConfigError('the data has no column "type": give the option type, or a mapping')
            if not {"userId", "anonymousId"} & set(self._wire.values()):
                raise ConfigError('the data has no column "userId" or "anonymousId": give a mapping that names one')
        self._calls: Callable[[Row], Call] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_calls": None}  # functions, made anew where they run

    def __call__(self, row: Row) -> Call:
        """Make the call of one row.

        Raises:
            InvalidMessage: a value does not fit: the path of the field, and what is wrong.
        """
        if self._calls is None:
            self._calls = self._made()
        return self._calls(row)

    def _made(self) -> Callable[[Row], Call]:
        made = [(place, _plain(each.dataType)) for place, each in enumerate(self._schema.fields)]
        converters = [(place, convert) for place, convert in made if convert is not None]
        messages = Messages()
        calls: Callable[[Any], Call] = (
            self._bound() if self._mapping is not None else lambda values: messages(self._message(values))
        )
        if not converters:
            return calls

        def call(row: Row) -> Call:
            values = list(row)
            for place, convert in converters:
                values[place] = _converted(values[place], convert)
            return calls(values)

        return call

    def _bound(self) -> Calls:
        assert self._mapping is not None
        return self._mapping.bind(self._columns, known=self._forms())

    def _forms(self) -> dict[str, DateForm]:
        """How columns of times are read: by their type, since each executor must read them alike."""
        forms = {}
        for each in self._schema.fields:
            if isinstance(each.dataType, (TimestampType, TimestampNTZType, DateType)):
                forms[each.name] = DateForm("native")
            elif isinstance(each.dataType, StringType):
                forms[each.name] = DateForm("iso")
        return forms

    def _message(self, values: Any) -> dict[str, Any]:
        """Return the spec message of one row: what has no name there becomes a property or a trait."""
        message: dict[str, Any] = dict(self._constants)
        others = {}
        for column, value in zip(self._columns, values, strict=True):
            if value is None:
                continue
            wire = self._wire.get(column)
            if wire is None:
                others[column] = value
            else:
                message[wire] = value
        if others:
            place = "traits" if message.get("type") in _WITH_TRAITS else "properties"
            given = message.get(place)
            message[place] = {**given, **others} if isinstance(given, Mapping) else others
        return message


class RowIds:
    """Ids that are the same whenever the same row is sent from the same partition, and differ for equal rows.

    The n-th row of the same content in a partition has the same id in every attempt, in whatever order rows come. For
    that a number is kept for each row, some 100 bytes; a column of ids needs none.

    Args:
        place: tells partitions, and the batches of a stream, from each other.
    """

    def __init__(self, place: str) -> None:
        self._begun = hashlib.blake2b(place.encode() + b"\0", digest_size=16)
        self._times: dict[int, int] = {}

    def __call__(self, kind: str, arguments: Mapping[str, Any]) -> str:
        """Return the id of a row that becomes this call."""
        digest = self._begun.copy()
        digest.update(json.dumps([kind, arguments], sort_keys=True, default=str).encode("utf-8", "surrogatepass"))
        found = digest.digest()
        times = self._times
        key = int.from_bytes(found[:8])
        nth = times[key] = times.get(key, -1) + 1
        return found.hex() if not nth else f"{found.hex()}-{nth}"


def _plain(kind: DataType) -> Callable[[Any], Any] | None:
    """Return what makes plain Python of a column's values; None where they are so already."""
    if isinstance(kind, TimestampType):
        return _moment
    if isinstance(kind, StructType):
        fields = [(each.name, _plain(each.dataType)) for each in kind.fields]
        return lambda row: {name: _converted(row[place], convert) for place, (name, convert) in enumerate(fields)}
    if isinstance(kind, ArrayType):
        inner = _plain(kind.elementType)
        return None if inner is None else lambda values: [_converted(each, inner) for each in values]
    if isinstance(kind, MapType):
        inner = _plain(kind.valueType)
        return None if inner is None else lambda values: {key: _converted(each, inner) for key, each in values.items()}
    return None


def _converted(value: Any, convert: Callable[[Any], Any] | None) -> Any:
    return value if value is None or convert is None else convert(value)


def _moment(value: datetime) -> datetime:
    """Spark gives its moments in this machine's zone, and without saying so."""
    return value.astimezone(UTC)
