"""The commands of `analytics-client`: what can be given, what is printed, and the exit status.

Owns words and statuses only: `demo` does what the demo does, `collector` what the collector does, and everything sent
goes through the public `Client`. No command takes a source's write key from its arguments: every process list has them.
"""

import inspect
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from analytics_client import AnalyticsError, Client, Outcome, Reason, __version__
from analytics_client.import_command import import_command

KINDS = ("identify", "track", "page", "screen", "group", "alias", "merge")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Send events to Segment, RudderStack and SegmentStream, and see them arrive."""


cli.add_command(import_command)

# -- send ----------------------------------------------------------------------------------------------------------


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)  # fractions go out as they were typed
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}") from None


def _refuse_key(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            "the write key is not taken from the command line, where every process list shows it: "
            "set ANALYTICS_WRITE_KEY, or use --key-file"
        )


@cli.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--user-id")
@click.option("--anonymous-id")
@click.option("--event", help="track: the event's name.")
@click.option("--name", help="page, screen: its name.")
@click.option("--category", help="page, screen: its category.")
@click.option("--group-id", help="group: its id.")
@click.option("--previous-id", help="alias: the id until now.")
@click.option("--properties", type=_json, help="track, page, screen: a JSON object.")
@click.option("--traits", type=_json, help="identify, group: a JSON object.")
@click.option("--merge-properties", type=_json, help="merge: a JSON list of {type, value}.")
@click.option("--context", type=_json, help="A JSON object.")
@click.option("--integrations", type=_json, help="A JSON object.")
@click.option("--timestamp", help="When it happened; now if left out.")
@click.option("--message-id", help="A new one if left out.")
@click.option("--dialect", help="segment (the default), rudderstack or segmentstream.")
@click.option("--host", help="Base URL, where it is not the dialect's own.")
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds the write key.")
@click.option("--timeout", type=click.FloatRange(min=0), default=15.0, show_default=True, help="Seconds to wait.")
@click.option("--write-key", hidden=True, callback=_refuse_key, expose_value=False)
def send(
    kind: str, dialect: str | None, host: str | None, key_file: Path | None, timeout: float, **fields: Any
) -> None:
    """Send one event and say what became of it.

    The write key comes from the environment variable ANALYTICS_WRITE_KEY or from --key-file. Exit status: 0 delivered,
    1 not delivered, 2 wrong arguments.
    """
    ends: list[Outcome] = []
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        key = key_file.read_text().strip() if key_file else None
        client = Client(key, dialect=dialect, host=host, strict=True, on_delivered=ends.append, on_failed=ends.append)
        with client:
            sent = getattr(client, kind)(**given)
            client.close(timeout)
    except AnalyticsError as error:
        raise click.UsageError(str(error)) from None
    except TypeError:
        wrong = ", ".join(f"--{name.replace('_', '-')}" for name in given if name not in _parameters(kind))
        raise click.UsageError(f"{kind} takes no {wrong}") from None
    [end] = ends
    if end.reason is Reason.DELIVERED:
        click.echo(f"delivered: {sent} (status {end.status}, attempt {end.attempts})")
        return
    why = f"status {end.status}" if end.status is not None else end.cause
    said = f", the server said: {end.cause}" if end.status is not None and end.cause else ""
    click.echo(f"not delivered: {sent} ({end.reason}: {why or 'no answer in time'}{said})", err=True)
    sys.exit(1)


def _parameters(kind: str) -> set[str]:
    return set(inspect.signature(getattr(Client, kind)).parameters)


# -- collector -----------------------------------------------------------------------------------------------------


@cli.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=8765, show_default=True, help="0: any free one.")
@click.option("--db", type=click.Path(dir_okay=False, path_type=Path), help="Keep events in this SQLite file.")
@click.option(
    "--as",
    "service",
    type=click.Choice(["segment", "rudderstack", "segmentstream", "strict"]),
    default="segment",
    show_default=True,
    help="Whose answers /v1/* gives; strict refuses whatever the documents do not allow.",
)
@click.option("--write-key", help="The only key to let in; any, if left out.")
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, help="Seconds by which each answer is late.")
@click.option("--fault", default="", help="What goes wrong, request by request: 503x3,429:Retry-After=2,drop-while,200")
def collector(port: int, db: Path | None, service: str, write_key: str | None, latency: float, fault: str) -> None:
    """Receive events on this machine as the real services do.

    POST to /v1/batch, /v1/track and so on, or /track; GET /stats, /events and /requests show what came, as JSON.
    Listens on 127.0.0.1 only.
    """
    try:
        from analytics_client.collector import Settings, serve  # noqa: PLC0415 - an extra of its own
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    try:
        settings = Settings(service=service, port=port, db=db, write_key=write_key, latency=latency, fault=fault)
        serve(settings)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None


# -- demo ----------------------------------------------------------------------------------------------------------


@cli.command()
@click.option("--rows", type=click.IntRange(min=1), help="Reviews to send; all of the sample if left out.")
@click.option(
    "--dialect",
    "dialects",
    multiple=True,
    type=click.Choice(["segment", "rudderstack", "segmentstream"]),
    help="All three if left out; may be given again.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file with the columns reviewerId, vendorId, rating, date; .gz is read too.",
)
def demo(rows: int | None, dialects: tuple[str, ...], data: Path | None) -> None:
    """Send real reviews through a client of each dialect into a local collector, and show what arrived.

    Exit status 0 only if every accepted event arrived once and nothing broke a rule of the API.
    """
    try:
        from analytics_client.demo import run  # noqa: PLC0415 - needs the collector's extra
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    try:
        sys.exit(0 if run(rows, dialects or ("segment", "rudderstack", "segmentstream"), data) else 1)
    except (OSError, KeyError, ValueError) as error:
        raise click.ClickException(f"the demo cannot run: {error!r}") from None
    except KeyboardInterrupt:
        click.echo("\nstopped; the collectors are gone and nothing was kept", err=True)
        sys.exit(130)
