"""A real Spark, local[2], against the collector: every row arrives once, whatever fails, and no key shows anywhere.

The heavy tier's: Spark takes seconds to start, and its package is large. It wants Java, which is installed where it is
missing and this is the root of a Debian machine.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from analytics_client.collector import Collector

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),  # Spark's own
]

KEY = "spark-key-that-nobody-may-see"
SAMPLE = Path(__file__).parent.parent.parent / "examples" / "data" / "vendor-reviews-sample.csv"
MAPPING = json.dumps(
    {
        "type": "track",
        "event": "Vendor Reviewed",
        "user_id": "reviewerId",
        "timestamp": "date",
        "properties": {"rating": {"column": "rating", "cast": "int"}, "vendorId": "vendorId"},
    }
)


@pytest.fixture(scope="module")
def java() -> None:
    if shutil.which("java") is None and shutil.which("apt-get") is not None and not os.geteuid():
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "-q", "default-jre-headless"]):
            subprocess.run(command, check=False, timeout=140, capture_output=True, stdin=subprocess.DEVNULL)
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or later, which is missing and cannot be installed here")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="module")
def spark(java: None, logs: Path) -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="the extra spark is not installed")
    from analytics_client.contrib.spark import AnalyticsDataSource

    # Executors' Python is not the driver's unless it is said; the key is the driver's alone.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("ANALYTICS_WRITE_KEY", KEY)
        patch.setenv("PYTHONPATH", str(SAMPLE.parent.parent.parent))
        session = (
            sql.SparkSession.builder.master("local[2, 4]")
            .config("spark.ui.enabled", "false")
            .config("spark.eventLog.enabled", "true")
            .config("spark.eventLog.dir", f"file://{logs}")
            .config("spark.eventLog.compress", "false")
            .config("spark.sql.shuffle.partitions", "4")
            .getOrCreate()
        )
        try:
            session.dataSource.register(AnalyticsDataSource)
            yield session
        finally:
            session.stop()
            logging.getLogger("py4j").handlers.clear()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def reviews(spark: Any) -> Any:
    return spark.read.csv(str(SAMPLE), header=True)


def write(frame: Any, collector: Collector, **options: str) -> None:
    writer = frame.write.format("analytics").option("host", collector.url)
    for name, value in options.items():
        writer = writer.option(name, value)
    writer.mode("append").save()


def test_real_reviews_arrive_once_also_when_a_task_fails(spark: Any, collector: Collector, tmp_path: Path) -> None:
    frame = reviews(spark).repartition(4)
    fallen = str(tmp_path / "fallen")

    def stumble(batches: Any) -> Any:
        """Fail once, in the middle of one partition, when a part of it was handed on already."""
        from pyspark import TaskContext

        for number, batch in enumerate(batches):
            context: Any = TaskContext.get()
            if number == 1 and context.partitionId() == 2 and context.attemptNumber() == 0:
                Path(fallen).touch()
                raise OSError("a machine was lost")
            yield batch

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "200")
    # Small batches are sent while the task still runs: what it has sent when it fails is sent again.
    write(frame.mapInArrow(stumble, frame.schema), collector, mapping=MAPPING, flush_at="50")
    assert Path(fallen).exists()
    stats = collector.stats()
    rows = reviews(spark).count()
    assert stats["unique"] == rows == 3_000
    assert stats["duplicates"] == stats["arrived"] - rows
    assert stats["violations"] == stats["differing"] == 0

    # A second run of the whole job changes nothing.
    write(frame, collector, mapping=MAPPING)
    assert collector.stats()["unique"] == rows
    assert collector.stats()["differing"] == 0


def test_spec_shaped_rows_of_every_type(spark: Any, collector: Collector) -> None:
    frame = spark.sql(
        "select 'track' as type, 7L as userId, 'Bought' as event, timestamp'2020-01-02 03:04:05' as timestamp, "
        "cast(19.99 as decimal(10,2)) as price, array(1, 2) as sizes, named_struct('city', 'Paris') as shop, "
        "map('a', 1) as counts, cast(null as string) as coupon, date'2020-01-01' as day"
    )
    write(frame, collector)
    (found,) = collector.events()
    event = found["event"]
    assert event["userId"] == "7"
    assert event["properties"] == {
        "price": 19.99,
        "sizes": [1, 2],
        "shop": {"city": "Paris"},
        "counts": {"a": 1},
        "day": "2020-01-01",
    }
    moment = frame.select("timestamp").collect()[0][0].astimezone(UTC)
    assert event["timestamp"] == moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_a_stream_goes_on_where_it_stopped(spark: Any, collector: Collector, tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    header, *lines = SAMPLE.read_text().splitlines()

    def drop(name: str, part: list[str]) -> None:
        (incoming / name).write_text("\n".join([header, *part]) + "\n")

    def stream() -> None:
        frame = spark.readStream.schema(reviews(spark).schema).option("header", True).csv(str(incoming))
        writer = frame.writeStream.format("analytics").option("host", collector.url).option("mapping", MAPPING)
        query = writer.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True).start()
        query.awaitTermination(120)
        assert query.exception() is None

    drop("1.csv", lines[:1_000])
    stream()
    assert collector.stats()["unique"] == 1_000
    drop("2.csv", lines[1_000:])
    stream()
    assert collector.stats()["unique"] == collector.stats()["arrived"] == 3_000
    # The same rows again in another batch are other events.
    drop("3.csv", lines[:10])
    stream()
    assert collector.stats()["unique"] == 3_010


def test_a_job_fails_when_its_events_do(spark: Any) -> None:
    with Collector(write_key="another") as refusing:
        with pytest.raises(Exception, match=r"events were not delivered; the last as rejected, status 401"):
            write(reviews(spark).limit(20).coalesce(1), refusing, mapping=MAPPING)
        assert refusing.stats()["unique"] == 0


def test_rows_that_make_no_event(spark: Any, collector: Collector) -> None:
    frame = spark.createDataFrame([("u", "A"), ("", "B"), ("v", "C")], "userId string, event string").coalesce(1)
    frame = frame.selectExpr("*", "timestamp'2020-01-01 00:00:00' as timestamp")
    with pytest.raises(Exception, match=r"row 1 of the partition makes no event: userId:"):
        write(frame, collector, type="track")
    write(frame, collector, type="track", on_invalid="skip")
    assert collector.stats()["unique"] == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"write_key": KEY}, "write_key must not be an option"),
        ({"hots": "x"}, "no option is called hots"),
        ({"flush_at": "many"}, "flush_at must be a whole number"),
        ({"dialect": "nobody", "mapping": MAPPING}, "dialect must be"),
        ({"mapping": "{"}, "neither a path nor JSON"),
        ({}, 'no column "type"'),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(
    spark: Any, collector: Collector, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(Exception, match=sentence) as caught:
        write(reviews(spark), collector, **options)
    assert KEY not in str(caught.value)
    assert collector.stats()["requests"] == 0


def test_overwriting_is_refused(spark: Any, collector: Collector) -> None:
    with pytest.raises(Exception, match="append"):
        reviews(spark).write.format("analytics").option("host", collector.url).option("mapping", MAPPING).mode(
            "overwrite"
        ).save()


def test_the_key_shows_in_no_plan_and_no_log(
    spark: Any, logs: Path, collector: Collector, capfd: pytest.CaptureFixture[str]
) -> None:
    write(reviews(spark), collector, mapping=MAPPING)
    written = b"".join(path.read_bytes() for path in logs.rglob("*") if path.is_file())
    assert b"SparkListenerSQLExecutionStart" in written
    assert KEY.encode() not in written
    captured = capfd.readouterr()
    assert KEY not in captured.out + captured.err
