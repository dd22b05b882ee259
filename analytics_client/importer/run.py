"""One import, from its files to its summary.

    reader (the caller's thread)            client's threads
    rows -> feed -> client.track  ~~~~>     gateway: pace, checkpoint, send -> settled, rejected

The two meet in `Settling`: the reader waits while too many rows are under way; what has ended is settled, and the
gateway writes it down before it sends anything else. Owns the order of things, and the ends: of an input, of the
import, by Ctrl-C, by a fault.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from analytics_client import Client, ConfigError, Outcome, Reason
from analytics_client.delivery.transport import RequestsTransport
from analytics_client.importer.faults import ImportStopped, InputBroken
from analytics_client.importer.feeding import Feed
from analytics_client.importer.gateway import Gateway
from analytics_client.importer.ids import Seen
from analytics_client.importer.inputs import Input, Opened, Reading
from analytics_client.importer.mapping import RowMapping
from analytics_client.importer.options import Options
from analytics_client.importer.pace import Pace
from analytics_client.importer.plan import Plan
from analytics_client.importer.rarely import rare_collections
from analytics_client.importer.summary import Problems, Progress, Summary
from analytics_client.importer.track import Track

# Rows under way at the most, and bytes of their events for the whole and for each lane.
_MOST_ROWS = 20_000
_FIRST_ROWS = 2_000
_MOST_BYTES = 8 * 1024 * 1024
_LANE_BYTES = 1024 * 1024
# Rows between the oldest unsettled one and the one being read: the checkpoint holds a bit for each.
_MOST_SPAN = 400_000
# Rejected rows after which they are written even if no request goes.
_REJECTS_HELD = 2_000
# Rows between two looks at faults and the progress; seconds between two looks while waiting.
_LOOK = 512
_TICK = 0.05
# Seconds for requests under way to end, once nothing more is to be sent.
_PATIENCE = 20.0
# Seconds for the callbacks of the last answers: what they do not tell in time is sent again by the next run.
_LAST_WORDS = 2.0


class Import:
    """The state of one import. Made and run in one thread; the callbacks and `_save` are called in the client's."""

    def __init__(self, plan: Plan, options: Options, on_progress: Callable[[Progress], object] | None) -> None:
        self._plan = plan
        self._options = options
        self._on_progress = on_progress
        config = options.config()
        self._destination = f"{config.dialect.name} at {config.base_url}"
        for source in plan.inputs:
            Track.refuse(source, plan, self._destination, options)
        self._id_prefix = f'"{config.dialect.id_key}":"'.encode()
        self._budget = _MOST_BYTES + _LANE_BYTES * config.concurrency
        self._problems = Problems()
        self._seen = Seen()
        self._save_lock = threading.Lock()
        self._track: Track | None = None
        self._name = ""
        self._opened: Opened | None = None
        self._rows = self._settled_before = self._delivered = self._rejected = 0
        self._event_bytes = self._events = 0
        self._inputs_done = 0
        self._reject_files: list[str] = []
        self._notes: list[str] = []
        self._stopping = False
        requests, events = options.pace(config.dialect.name)
        inner = options.transport or RequestsTransport(config.base_url, proxies=config.proxies, ca_file=config.ca_file)
        self._gateway = Gateway(inner, Pace(requests, events, time.monotonic), self._save, self._close_soon)
        self._client = Client(
            config.write_key.reveal(),
            **{
                **options.client,
                "transport": self._gateway,
                "strict": True,
                "on_full": "block",
                "flush_at": 2_500,  # bodies as full as they may be: fewer requests, fewer checkpoints
                "enabled": True,
                "sync": False,
                "on_delivered": self._delivered_one,
                "on_failed": self._failed_one,
            },
        )

    def run(self) -> Summary:
        """Import everything; return what it came to, also if it was stopped."""
        started = time.monotonic()
        stopped: list[str] = []
        try:
            for source in self._plan.inputs:
                try:
                    self._import(source)
                except (InputBroken, ConfigError) as fault:  # the latter: it was another file a moment ago
                    stopped.append(str(fault))
                self._inputs_done += 1
        except ImportStopped as fault:
            stopped.insert(0, str(fault))
        except KeyboardInterrupt:
            stopped.insert(0, "stopped by the keyboard; what was settled is kept: --resume goes on")
        finally:
            self._gateway.halt(None)
            self._client.close(timeout=0)
            self._show()
        return Summary(
            rows=self._rows,
            settled_before=self._settled_before,
            delivered=self._delivered,
            rejected=self._rejected,
            duplicates=self._seen.again,
            problems=tuple(self._problems.listed()),
            ignored=dict(self._plan.messages.ignored),
            reject_files=tuple(self._reject_files),
            notes=tuple(self._notes),
            stopped="; ".join(stopped) or None,
            seconds=time.monotonic() - started,
        )

    # -- one input -----------------------------------------------------------------------------------------------

    def _import(self, source: Input) -> None:
        opened, calls = self._plan.open(source)
        self._name, self._opened = source.name, opened
        try:
            track = Track.begin(opened, self._plan, self._destination, self._options)
            if track is None:
                self._notes.append(f"{source.name} was imported to its end before")
                return
            self._track = track
            feed = Feed(self._client, opened.table, source.place, calls, self._seen, track.settling, self._refuse)
            try:
                self._read(track, opened, feed)
            except InputBroken:
                raise
            except BaseException:
                self._stop(track)
                raise
            finally:
                self._count(track)
        finally:
            opened.close()

    def _read(self, track: Track, opened: Opened, feed: Feed) -> None:
        try:
            self._feed(track, opened, feed)
            self._drain(track)
            track.refuse_changed()
        except InputBroken:
            self._drain(track)  # the rows before are as good as any
            track.close()
            raise
        track.finish()

    def _feed(self, track: Track, opened: Opened, feed: Feed) -> None:
        settling, limit = track.settling, _FIRST_ROWS
        number = 0
        try:
            for number, row in enumerate(opened.rows(), 1):
                if settling.is_settled(number):
                    self._settled_before += 1
                    feed.skip(row)
                else:
                    feed.row(number, row)
                    if len(settling) >= limit:
                        limit = self._wait_for_room(track)
                if not number % _LOOK:
                    self._rows += _LOOK
                    self._look(track, number)
        finally:
            self._rows += number % _LOOK

    def _limit(self) -> int:
        """Return how many rows may be under way: by the size of their events as far as it is known."""
        if not self._events:
            return _FIRST_ROWS
        return max(256, min(_MOST_ROWS, int(self._budget / (self._event_bytes / self._events + 1))))

    def _wait_for_room(self, track: Track) -> int:
        while len(track.settling) >= (limit := self._limit()):
            self._wait()
        return limit

    def _wait(self) -> None:
        self._gateway.ended.clear()
        self._gateway.ended.wait(_TICK)
        self._check()
        self._show()

    def _look(self, track: Track, number: int) -> None:
        self._check()
        self._show()
        if track.rejects_waiting >= _REJECTS_HELD:
            self._save()
        while number - track.settling.low > _MOST_SPAN:
            track.settling.state()
            if number - track.settling.low > _MOST_SPAN:
                self._wait()

    def _check(self) -> None:
        if self._gateway.fault is not None:
            raise self._gateway.fault
        if self._gateway.last and self._client.stats.notices.get("systematic"):
            raise ImportStopped(
                "the server refuses every event, also alone, so it is not the events: check the write key, the host "
                "and the dialect; what was settled is kept: --resume goes on"
            )

    def _drain(self, track: Track) -> None:
        """Wait until every row that was handed over is settled."""
        while len(track.settling):
            self._client.flush(_TICK)
            if len(track.settling):
                self._wait()

    def _stop(self, track: Track) -> None:
        """Send nothing more; keep what the requests under way still bring."""
        self._gateway.halt(None)
        deadline = time.monotonic() + _PATIENCE
        try:
            while not self._gateway.is_idle() and time.monotonic() < deadline:
                time.sleep(_TICK)
            self._client.flush(_LAST_WORDS)
        except KeyboardInterrupt:
            pass  # twice: now means now
        self._stopping = True
        self._client.close(timeout=0)
        track.close()

    def _count(self, track: Track) -> None:
        self._track = None
        self._delivered += track.settling.delivered
        self._rejected += track.settling.rejected
        if track.rejects.exists:
            self._reject_files.append(str(track.rejects.path))

    # -- in the client's threads -----------------------------------------------------------------------------------

    def _save(self) -> None:
        with self._save_lock:
            if self._track is not None:
                self._track.save()

    def _delivered_one(self, outcome: Outcome) -> None:
        track, body = self._track, outcome.body
        if track is not None and not self._stopping:
            self._events += 1
            self._event_bytes += len(body)
            track.settling.deliver(self._id_of(outcome, body))

    def _failed_one(self, outcome: Outcome) -> None:
        track, body = self._track, outcome.body
        if track is None or not body or self._stopping:
            return
        if outcome.reason in (Reason.REJECTED, Reason.TOO_LARGE) and outcome.attempts:
            if self._gateway.fault is not None:
                return  # rejected for a setting's sake: the events are not to blame
            entry = track.settling.end(self._id_of(outcome, body))
            if entry is not None:
                said = f", the server said: {outcome.cause}" if outcome.cause else ""
                self._write(*entry[1:], f"rejected with status {outcome.status}{said}", f"status {outcome.status}")
                track.settling.reject(entry[0])
        elif outcome.reason is Reason.EXPIRED:
            self._gateway.halt(
                ImportStopped("the server did not take events for too long; what was settled is kept: --resume goes on")
            )

    def _id_of(self, outcome: Outcome, body: bytes) -> str:
        # The id stands before anything of the caller's; decoding the whole event would cost more than sending it.
        start = body.find(self._id_prefix) + len(self._id_prefix)
        end = body.find(b'"', start)
        found = body[start:end]
        if b"\\" in found or start > 64:
            return outcome.message_id or ""
        return found.decode()

    def _close_soon(self) -> None:
        # In a thread of its own: it wakes a reader who is blocked in a call, and must not wait for its own request.
        threading.Thread(target=self._client.close, args=(0,), daemon=True).start()

    # -- rows that end otherwise -----------------------------------------------------------------------------------

    def _refuse(self, number: int, line: int, raw: Any, reason: str) -> None:
        assert self._track is not None
        self._write(line, raw, reason, reason)
        self._track.settling.refuse(number)

    def _write(self, line: int, raw: Any, reason: str, kind: str) -> None:
        track = self._track
        assert track is not None
        track.rejects.add(raw, f"line {line}: {reason}")
        self._problems.add(kind, f"{self._name}:{line}")
        track.rejects_waiting += 1

    def _show(self) -> None:
        if self._on_progress is None:
            return
        track = self._track
        delivered = self._delivered + (track.settling.delivered if track else 0)
        rejected = self._rejected + (track.settling.rejected if track else 0)
        self._on_progress(
            Progress(
                name=self._name,
                rows=self._rows,
                settled_before=self._settled_before,
                delivered=delivered,
                rejected=rejected,
                share=self._share(self._settled_before + delivered + rejected),
                trouble=self._gateway.last,
            )
        )

    def _share(self, settled: int) -> float | None:
        """Return the share of everything that is settled: of what is read, which runs ahead, the settled part."""
        read = self._opened.share() if self._opened is not None else None
        if read is None or not self._rows:
            return None
        read = (self._inputs_done + read) / len(self._plan.inputs)
        return min(1.0, read * settled / self._rows)


def run(
    files: Sequence[str | Path],
    *,
    mapping: RowMapping | None = None,
    write_key: str | None = None,
    format: str | None = None,  # noqa: A002 - the flag's name
    encoding: str | None = None,
    delimiter: str | None = None,
    max_line_bytes: int | None = None,
    state: str | Path | None = None,
    resume: bool = False,
    restart: bool = False,
    max_requests_per_second: float | None = None,
    max_events_per_second: float | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    transport: Any = None,
    **client: Any,
) -> Summary:
    """Import the rows of files, each as one event, each once. Python collects garbage less often meanwhile.

    Args:
        files: names and patterns; `-` is standard input, which needs `state`.
        mapping: how a row becomes a call; None: the files hold messages of the spec (NDJSON or a JSON array).
        write_key: the source's; default: `ANALYTICS_WRITE_KEY`.
        format: `csv`, `tsv`, `ndjson`, `json` (an array) or `parquet`; default: by each file's name and beginning.
        encoding: of text; default: UTF-8, or what a byte order mark says.
        delimiter: of CSV; default: a comma.
        max_line_bytes: longer lines are rejected; default: 1 MiB.
        state: the directory of checkpoints and reject files; default: beside each file.
        resume: go on where an import of the same files stopped; those that came to their end are left out.
        restart: begin anew although there is a checkpoint of an import that stopped.
        max_requests_per_second, max_events_per_second: 0 for no limit; default: 500 and 1,000 on Segment, otherwise 0.
        on_progress: called with a `Progress` in the calling thread, often: it must be quick.
        transport: as for `Client`.
        client: `dialect`, `host`, `concurrency`, `gzip` and other options of `Client`.

    Returns:
        The summary; its `stopped` says why it did not come to the end, if it did not.

    Raises:
        ConfigError: an option, the mapping, a column or a date's form is wrong: nothing was sent.
        ImportStopped: a file cannot be opened, or no checkpoint be written: nothing was sent.
    """
    options = Options(
        write_key=write_key,
        state=None if state is None else Path(state),
        resume=resume,
        restart=restart,
        max_requests_per_second=max_requests_per_second,
        max_events_per_second=max_events_per_second,
        transport=transport,
        client={name: value for name, value in client.items() if value is not None},
    )
    options.config()  # refuses before files are looked at
    plan = Plan.make(files, Reading(format, encoding, delimiter, max_line_bytes), mapping)
    try:
        if options.state is None and any(source.path is None for source in plan.inputs):
            raise ConfigError("standard input has no place beside it for a checkpoint: give a directory with --state")
        with rare_collections():
            return Import(plan, options, on_progress).run()
    finally:
        plan.close()
