"""An import seen while it runs: a bar on a terminal, a plain line now and then elsewhere. Shows, decides nothing."""

import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

from analytics_client.importer.summary import Progress

# Seconds between two pictures, and between two plain lines.
_BAR_EVERY = 0.1
_LINE_EVERY = 10.0
# Seconds over which the rate is taken.
_RATE_OVER = 10.0
_RATE_STEP = 0.5


class Meter:
    """The rate, and the time left. `now`: a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._looks: deque[tuple[float, int]] = deque([(now(), 0)])
        self._first: tuple[float, float] | None = None  # when a share was first seen, and which

    def look(self, progress: Progress) -> tuple[float, float | None]:
        """Return rows settled a second of late, and seconds left; None while nobody knows."""
        now = self._now()
        settled = progress.delivered + progress.rejected
        if now - self._looks[-1][0] >= _RATE_STEP:
            self._looks.append((now, settled))
        while len(self._looks) > 2 and now - self._looks[0][0] > _RATE_OVER:
            self._looks.popleft()
        began, before = self._looks[0]
        rate = (settled - before) / (now - began) if now > began else 0.0
        if progress.share is None:
            return rate, None
        if self._first is None:
            self._first = now, progress.share
        spent, done = now - self._first[0], progress.share - self._first[1]
        left = spent * (1 - progress.share) / done if done > 0 and spent > 1 else None
        return rate, left


def line(progress: Progress, rate: float, left: float | None) -> str:
    """Return the state as one line of text."""
    parts = [f"{progress.delivered:,} delivered", f"{progress.rejected:,} rejected", f"{rate:,.0f}/s"]
    if progress.settled_before:
        parts.insert(0, f"{progress.settled_before:,} settled before")
    if progress.share is not None:
        parts.append(f"{progress.share:.0%}")
    if left is not None:
        parts.append(f"{_duration(left)} left")
    if progress.trouble:
        parts.append(f"waiting: {progress.trouble}")
    return f"{progress.name}: {', '.join(parts)}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Lines:
    """Plain lines, one each ten seconds."""

    def __init__(self, out: IO[str], now: Callable[[], float] = time.monotonic, every: float = _LINE_EVERY) -> None:
        self._out = out
        self._now = now
        self._every = every
        self._meter = Meter(now)
        self._next = now() + every

    def __call__(self, progress: Progress) -> None:
        """Take note of a state."""
        state = self._meter.look(progress)
        if self._now() >= self._next:
            self._next = self._now() + self._every
            print(line(progress, *state), file=self._out, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the lines where they are."""


class Bar:
    """A bar on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
        from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as Picture  # noqa: PLC0415

        columns = (BarColumn(20), TextColumn("{task.description}"))
        self._bar = Picture(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=1.0)
        self._meter = Meter(time.monotonic)
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show a state."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _BAR_EVERY
        text = line(progress, *self._meter.look(progress)).replace("[", r"\[")
        self._bar.update(self._task, completed=progress.share or 0.0, description=text)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def progress_for(out: IO[str] | None = None) -> Bar | Lines:
    """Return a bar where `out` (default: stderr) is a terminal, else plain lines."""
    out = out or sys.stderr
    return Bar() if out.isatty() else Lines(out)
