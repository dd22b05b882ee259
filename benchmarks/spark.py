#!/usr/bin/env python3
"""Rows a second that Spark writes to a sink, for the arithmetic in docs/import.md: all of a CSV file of reviews.

    python3 benchmarks/spark.py REVIEWS.csv.gz [--cores 1,2] [--latency 0.05]

Wants Java 17 and the columns reviewerId, vendorId, rating and date. Each figure is of a Spark of its own, which is
started before the clock is.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment import HERE, PYTHON, ROOT, VENV, prepare, sink

MAPPING = {
    "type": "track",
    "event": "Vendor Reviewed",
    "user_id": "reviewerId",
    "timestamp": "date",
    "properties": {"rating": {"column": "rating", "cast": "int"}, "vendorId": "vendorId"},
}


def job(url: str, path: str, cores: int) -> None:
    """In a process of its own: read, cache, and time the writing."""
    from pyspark.sql import SparkSession

    from analytics_client.contrib.spark import AnalyticsDataSource

    session = SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.dataSource.register(AnalyticsDataSource)
    frame = session.read.csv(path, header=True).repartition(2 * cores).cache()
    rows = frame.count()
    started = time.perf_counter()
    writer = frame.write.format("analytics").option("host", url).option("mapping", json.dumps(MAPPING))
    writer.mode("append").save()
    seconds = time.perf_counter() - started
    print(f"| {cores} | {rows:,} | {seconds:.1f} | {rows / seconds:,.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--cores", default="1,2")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until the sink answers")
    given = parser.parse_args()
    prepare()
    done = VENV / ".spark"
    if not done.exists():
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", "-e", f"{ROOT}[spark]"], check=True)
        done.touch()
    print("| cores | rows | seconds | rows/s |\n|---:|---:|---:|---:|", flush=True)
    for cores in given.cores.split(","):
        with sink(given.latency) as url:
            code = (
                f"import sys; sys.path.insert(0, {str(HERE)!r}); import spark; spark.job(*sys.argv[1:3], {int(cores)})"
            )
            environment = os.environ | {"ANALYTICS_WRITE_KEY": "k", "PYSPARK_PYTHON": str(PYTHON)}
            subprocess.run(
                [PYTHON, "-c", code, url, str(Path(given.file).resolve())],
                check=True,
                env=environment | {"SPARK_LOCAL_IP": "127.0.0.1"},
                stderr=subprocess.DEVNULL,
            )


if __name__ == "__main__":
    main()
