"""The command `analytics-client import`: its flags, what is printed, and the exit status.

Owns words only: the import is `importer`'s. The write key comes from the environment or from a file, never from an
argument. The summary goes to stdout, the progress to stderr.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from analytics_client import AnalyticsError


def _refuse_key(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            "the write key is not taken from the command line, where every process list shows it: "
            "set ANALYTICS_WRITE_KEY, or use --key-file"
        )


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--mapping", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file; flags go over it.")
@click.option("--type", "kind", metavar="CALL", help="track, identify, page, screen, group or alias.")
@click.option("--event", metavar="NAME", help="The name of every event.")
@click.option("--event-column", metavar="COLUMN", help="The column that holds it.")
@click.option("--user-id", metavar="COLUMN")
@click.option("--anonymous-id", metavar="COLUMN")
@click.option("--group-id", metavar="COLUMN")
@click.option("--previous-id", metavar="COLUMN")
@click.option("--name", metavar="COLUMN", help="Of a page or screen.")
@click.option("--category", metavar="COLUMN", help="Of a page or screen.")
@click.option("--message-id", metavar="COLUMN", help="Left out: made of each row's content and place.")
@click.option("--timestamp", metavar="COLUMN", help="When it happened.")
@click.option("--timestamp-format", metavar="FORMAT", help="strptime's, or iso, epoch, epoch_ms. Found, if left out.")
@click.option("--timezone", metavar="ZONE", help="What naive times mean; UTC if left out.")
@click.option("--property", "properties", multiple=True, metavar="[NAME=]COLUMN[:CAST]", help="May be given again.")
@click.option("--trait", "traits", multiple=True, metavar="[NAME=]COLUMN[:CAST]", help="May be given again.")
@click.option("--context", "contexts", multiple=True, metavar="[PATH=]COLUMN[:CAST]", help="May be given again.")
@click.option("--constant", "constants", multiple=True, metavar="FIELD=TEXT", help="As in properties.source=crm.")
@click.option("--template", "templates", multiple=True, metavar="FIELD=TEXT", help="As in 'event=Rated {rating}'.")
@click.option("--null", "nulls", multiple=True, metavar="TEXT", help="Stands for nothing; blank cells do by default.")
@click.option("--format", "input_format", metavar="FORMAT", help="csv, tsv, ndjson, json or parquet.")
@click.option("--encoding", metavar="NAME", help="Of text; UTF-8 if left out.")
@click.option("--delimiter", metavar="CHARACTER", help="Of CSV.")
@click.option("--max-line-bytes", type=click.IntRange(min=1), help="Longer lines are rejected; 1,048,576 if left out.")
@click.option("--dry-run", is_flag=True, help="Validate and describe everything; send nothing.")
@click.option("--resume", is_flag=True, help="Go on where an import of the same files stopped.")
@click.option("--restart", is_flag=True, help="Begin anew, although one stopped.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Directory of checkpoints and rejects.")
@click.option("--max-requests-per-second", type=click.FloatRange(min=0), help="0: no limit. Segment: 500.")
@click.option("--max-events-per-second", type=click.FloatRange(min=0), help="0: no limit. Segment: 1,000.")
@click.option("--dialect", help="segment (the default), rudderstack or segmentstream.")
@click.option("--host", help="Base URL, where it is not the dialect's own.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Requests at once.")
@click.option("--gzip", is_flag=True, help="Compress bodies.")
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds the write key.")
@click.option("--write-key", hidden=True, callback=_refuse_key, expose_value=False)
@click.pass_obj
def import_command(settings: Mapping[str, Any] | None, /, files: tuple[str, ...], **given: Any) -> None:
    """Import history: every row of the files becomes one event, sent once.

    Files are NDJSON or JSON arrays of messages, or CSV, TSV, JSON and Parquet tables with a mapping; gzip, bzip2 and
    Zstandard are unpacked; - is standard input. The write key comes from ANALYTICS_WRITE_KEY or from --key-file.

    Exit status: 0 all delivered, 3 some rows rejected, 1 otherwise (2: a flag that does not exist or takes no such
    value).
    """
    try:
        status = _run(files, given, settings or {})
    except AnalyticsError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(status)


def _run(files: tuple[str, ...], given: dict[str, Any], settings: Mapping[str, Any]) -> int:
    """Run it. `settings`: a write key and options of the client that hold where no flag says otherwise."""
    from analytics_client.importer import dry_run, run  # noqa: PLC0415
    from analytics_client.importer.progress import progress_for  # noqa: PLC0415
    from analytics_client.importer.words import report_text, summary_text  # noqa: PLC0415

    flags = {name: given[name] for name in ("dialect", "host", "concurrency")} | {"gzip": given["gzip"] or None}
    client = {name: value for name, value in settings.items() if name != "write_key"}
    common = {
        "mapping": _mapping(given),
        "format": given["input_format"],
        **client,
        **{name: value for name, value in flags.items() if value is not None},
    } | {name: given[name] for name in ("encoding", "delimiter", "max_line_bytes")}
    if given["dry_run"]:
        with progress_for() as progress:
            report = dry_run(files, **common, on_progress=progress)
        click.echo(report_text(report))
        return report.exit_status
    key = given["key_file"].read_text().strip() if given["key_file"] else settings.get("write_key")
    own = ("state", "resume", "restart", "max_requests_per_second", "max_events_per_second")
    with progress_for() as progress:
        summary = run(files, **common, write_key=key, on_progress=progress, **{name: given[name] for name in own})
    click.echo(summary_text(summary))
    return summary.exit_status


def _mapping(given: dict[str, Any]) -> Any:
    """Make the mapping of the file and the flags; None if there are none."""
    from analytics_client.importer import RowMapping  # noqa: PLC0415
    from analytics_client.importer.flags import combined  # noqa: PLC0415

    ids = ("user_id", "anonymous_id", "group_id", "previous_id", "name", "category", "message_id", "timestamp")
    columns = {name: given[name] for name in ids} | {"event": given["event_column"]}
    entries = {"properties": given["properties"], "traits": given["traits"], "context": given["contexts"]}
    path: Path | None = given["mapping"]
    content = combined(
        RowMapping.read_toml(path) if path is not None else {},
        columns=columns,
        kind=given["kind"],
        event=given["event"],
        timestamp_format=given["timestamp_format"],
        timezone=given["timezone"],
        nulls=given["nulls"],
        entries={name: texts for name, texts in entries.items() if texts},
        constants=given["constants"],
        templates=given["templates"],
    )
    return RowMapping.from_dict(content) if content else None
