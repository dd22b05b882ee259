"""Apache Spark: a DataFrame's rows become events, sent by the executors, each partition by its own client.

    spark.dataSource.register(AnalyticsDataSource)
    df.write.format("analytics").option("host", ...).mode("append").save()      # also writeStream

Owns the options, what a task reports and when it fails: when one of its events does. A row becomes a call in
`spark_rows`, a call becomes bytes in the client. The write key comes from the driver's environment or a file, and
travels inside the pickled writer: never as an option, which plans, logs and the web interface would show.
"""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark import TaskContext
from pyspark.sql import Row
from pyspark.sql.datasource import DataSource, DataSourceStreamWriter, DataSourceWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from analytics_client import Client, ConfigError, InvalidMessage, Outcome
from analytics_client.contrib.spark_rows import RowCalls, RowIds
from analytics_client.importer import RowMapping
from analytics_client.importer.pace import Bucket

#: The client's options that may be given, and what makes a value of Spark's text.
_CLIENT_OPTIONS: dict[str, type] = {
    "dialect": str,
    "host": str,
    "ca_file": str,
    "concurrency": int,
    "flush_at": int,
    "max_queue_bytes": int,
    "max_event_bytes": int,
    "max_batch_bytes": int,
    "max_retries": int,
    "max_retry_time": float,
    "timeout": float,
    "gzip": bool,
    "batch": bool,
    "allow_insecure": bool,
}
#: Given to every format, and not meant for this one.
_SPARKS_OWN = ("path", "checkpointlocation")
_OWN_OPTIONS = ("key_file", "mapping", "type", "event", "on_invalid", "flush_timeout", "max_events_per_second")


@dataclass(frozen=True)
class Plan:
    """What a writer knows, checked on the driver, pickled for the executors.

    Attributes:
        key: the write key; not shown by `repr`.
        options: the client's.
        rows: how rows become calls.
        skip_invalid: leave rows out that make no valid event, and count them; else the task fails.
        flush_timeout: seconds that the end of a partition waits for its events.
        max_events_per_second: of each task; 0: no limit.
    """

    key: str = field(repr=False)
    options: Mapping[str, Any]
    rows: RowCalls
    skip_invalid: bool
    flush_timeout: float
    max_events_per_second: float

    @classmethod
    def make(cls, options: Mapping[str, str], schema: StructType, *, overwrite: bool) -> "Plan":
        """Read Spark's options.

        Raises:
            ConfigError: one of them is wrong or missing, or the columns make no event; nothing was sent.
        """
        given = {name.lower(): value for name, value in options.items() if name.lower() not in _SPARKS_OWN}
        if overwrite:
            raise ConfigError('events cannot be overwritten, only added: use mode("append")')
        if "write_key" in given:
            raise ConfigError("write_key must not be an option, which logs show: set ANALYTICS_WRITE_KEY or key_file")
        if unknown := sorted(given.keys() - _CLIENT_OPTIONS.keys() - set(_OWN_OPTIONS)):
            known = ", ".join((*_OWN_OPTIONS, *_CLIENT_OPTIONS))
            raise ConfigError(f"no option is called {', '.join(unknown)}; known are {known}")
        on_invalid = given.get("on_invalid", "fail")
        if on_invalid not in ("fail", "skip"):
            raise ConfigError("on_invalid must be fail or skip")
        mapping = _mapping(given["mapping"]) if "mapping" in given else None
        if mapping is not None and (given.keys() & {"type", "event"}):
            raise ConfigError("type and event stand in the mapping where there is one")
        plan = cls(
            _key(given.get("key_file")),
            {name: _value(name, given[name], kind) for name, kind in _CLIENT_OPTIONS.items() if name in given},
            RowCalls(schema, mapping, given.get("type"), given.get("event")),
            on_invalid == "skip",
            _value("flush_timeout", given.get("flush_timeout", "600"), float),
            _value("max_events_per_second", given.get("max_events_per_second", "0"), float),
        )
        plan.client().close(0)  # says what is wrong with the client's options now, not on each executor
        return plan

    def client(self, **more: Any) -> Client:
        """Make a client; each task has its own."""
        return Client(self.key, **self.options, **more)


@dataclass
class Written(WriterCommitMessage):
    """What became of one partition's rows."""

    partition: int
    delivered: int
    invalid: int


class NotDeliveredError(Exception):
    """Events of a partition were not delivered: its task fails, and Spark tries it again with the same ids."""


class AnalyticsDataSource(DataSource):
    """The format `analytics`. Options are those of `Plan`, the client's among them, by their names."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "analytics"

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        """Return the writer of `df.write`."""
        return _BatchWriter(Plan.make(self.options, schema, overwrite=overwrite))

    def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamWriter:  # noqa: N802 - Spark's name
        """Return the writer of `df.writeStream`. Its output mode is append; nothing else can be done with events."""
        return _StreamWriter(Plan.make(self.options, schema, overwrite=overwrite))


class _BatchWriter(DataSourceWriter):
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        return send(self._plan, iterator)

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        _say(messages, "")

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        _say(messages, " before the job failed; sent again they keep their ids")


class _StreamWriter(DataSourceStreamWriter):
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        return send(self._plan, iterator)

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803 - Spark's name
        _say(messages, f" in batch {batchId}")

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803
        _say(messages, f" before batch {batchId} failed; sent again they keep their ids")


def send(plan: Plan, rows: Iterable[Row]) -> Written:
    """Send one partition's rows, and return when all are delivered.

    Raises:
        NotDeliveredError: some were not; the sentence says how many, and what the last one met.
    """
    context = TaskContext.get()
    partition = 0 if context is None else context.partitionId()
    batch = None if context is None else context.getLocalProperty("streaming.sql.batchId")
    # Refusals raise, being strict; what is told here was accepted and failed later.
    failures: deque[Outcome] = deque(maxlen=1)
    client = plan.client(strict=True, on_full="block", on_failed=failures.append)
    try:
        invalid = _call(plan, client, rows, RowIds(f"{partition}/{batch or ''}"))
        settled = client.flush(plan.flush_timeout)
        client.close(0)  # what is not settled fails now, and is counted
        stats = client.stats
        if not settled or stats.failed:
            raise NotDeliveredError(_sentence(partition, stats.accepted, stats.delivered, failures))
        return Written(partition, stats.delivered, invalid)
    finally:
        client.close(0)


def _call(plan: Plan, client: Client, rows: Iterable[Row], ids: RowIds) -> int:
    """Make the calls; return how many rows make no valid event."""
    bucket, wait = _bucket(plan.max_events_per_second)
    invalid = 0
    for number, row in enumerate(rows):
        try:
            kind, arguments = plan.rows(row)
            if arguments.get("message_id") is None:
                arguments["message_id"] = ids(kind, arguments)
            getattr(client, kind)(**arguments)
        except InvalidMessage as error:
            if not plan.skip_invalid:
                raise NotDeliveredError(f"row {number:,} of the partition makes no event: {error}") from None
            invalid += 1
            continue
        if bucket is not None:
            wait(bucket.take(1))
    return invalid


def _bucket(rate: float) -> tuple[Bucket | None, Any]:
    import time  # noqa: PLC0415 - only where there is a limit

    return (Bucket(rate, time.monotonic) if rate else None), time.sleep


def _sentence(partition: int, accepted: int, delivered: int, failures: Sequence[Outcome]) -> str:
    text = f"partition {partition}: {accepted - delivered:,} of {accepted:,} events were not delivered"
    if failures:
        last = failures[-1]
        status = "" if last.status is None else f", status {last.status}"
        text += f"; the last as {last.reason}{status}{f': {last.cause}' if last.cause else ''}"
    return text


def _say(messages: list[WriterCommitMessage | None], where: str) -> None:
    """Tell the driver's console the total: the job itself has no other result."""
    parts = [each for each in messages if isinstance(each, Written)]
    delivered, invalid = sum(each.delivered for each in parts), sum(each.invalid for each in parts)
    left_out = f", {invalid:,} rows left out as invalid" if invalid else ""
    print(  # noqa: T201
        f"analytics: {delivered:,} events delivered from {len(parts):,} partitions{where}{left_out}", file=sys.stderr
    )


def _key(key_file: str | None) -> str:
    if key_file is None:
        key = os.environ.get("ANALYTICS_WRITE_KEY", "")
    else:
        try:
            key = Path(key_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"key_file cannot be read on the driver ({type(error).__name__})") from None
    if not key:
        raise ConfigError("there is no write key: set ANALYTICS_WRITE_KEY in the driver's environment, or key_file")
    return key


def _mapping(text: str) -> RowMapping:
    import json  # noqa: PLC0415 - only where a mapping is given

    if not text.lstrip().startswith("{"):
        return RowMapping.from_toml(text)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"mapping is neither a path nor JSON: {error}") from None
    return RowMapping.from_dict(content)


def _value(name: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        return kind(text)
    except (ValueError, KeyError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ConfigError(f"{name} must be {wanted}") from None
