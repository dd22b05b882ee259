"""Importing history: every row of a file becomes one event, sent once, at its own time.

    from analytics_client.importer import RowMapping, run

    summary = run(["reviews.csv.gz"], mapping=RowMapping.from_toml("reviews.toml"))

This file owns the room's public names. Nothing in the core imports it.
"""

from analytics_client.importer.dates import DateForm
from analytics_client.importer.dryrun import dry_run
from analytics_client.importer.faults import ImportStopped, InputBroken
from analytics_client.importer.mapping import RowMapping
from analytics_client.importer.run import run
from analytics_client.importer.summary import Problem, Progress, Report, Summary

__all__ = [
    "DateForm",
    "ImportStopped",
    "InputBroken",
    "Problem",
    "Progress",
    "Report",
    "RowMapping",
    "Summary",
    "dry_run",
    "run",
]
