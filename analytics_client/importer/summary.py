"""What an import came to, and what a dry run found: figures, and every kind of error with examples. Plain values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_NUMBER = re.compile(r"\d[\d,]*")
_INDEX = re.compile(r"\[\d+\]")
# Kinds that are told apart; the rest is counted together.
_KINDS = 200
_EXAMPLES = 3


@dataclass(slots=True)
class Problem:
    """One kind of error.

    Attributes:
        text: what was wrong, in the words of the first.
        count: how often.
        examples: up to three places, `reviews.csv:17`.
    """

    text: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


class Problems:
    """Errors by kind: alike but for their numbers."""

    def __init__(self) -> None:
        self._kinds: dict[str, Problem] = {}

    def add(self, text: str, place: str) -> None:
        """Count an error at a place."""
        key = _NUMBER.sub("#", _INDEX.sub("[]", text))
        problem = self._kinds.get(key)
        if problem is None:
            if len(self._kinds) >= _KINDS:
                key = text = "errors of other kinds"
            problem = self._kinds.setdefault(key, Problem(text))
        problem.count += 1
        if len(problem.examples) < _EXAMPLES:
            problem.examples.append(place)

    def listed(self) -> list[Problem]:
        """Return the kinds, the most frequent first."""
        return sorted(self._kinds.values(), key=lambda each: -each.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The result of an import.

    Attributes:
        rows: read in this run.
        settled_before: of these, settled by earlier runs.
        delivered: events that the server took in this run.
        rejected: rows in reject files from this run.
        duplicates: message ids that the source has more than once (in memory of fixed size: about).
        problems: why rows were rejected.
        ignored: keys of messages that no call has: how often each came.
        reject_files: where rejected rows are.
        notes: what else is worth a line.
        stopped: why the import, or one of its inputs, was not read to its end; None if all were.
        seconds: that it took.
    """

    rows: int
    settled_before: int
    delivered: int
    rejected: int
    duplicates: int
    problems: tuple[Problem, ...]
    ignored: Mapping[str, int]
    reject_files: tuple[str, ...]
    notes: tuple[str, ...]
    stopped: str | None
    seconds: float

    @property
    def exit_status(self) -> int:
        """0: every row was delivered, now or before; 3: some were rejected; 1: it did not come to the end."""
        if self.stopped is not None:
            return 1
        return 3 if self.rejected else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a dry run; nothing was sent.

    Attributes:
        rows: read.
        valid: rows that would be sent.
        events: how many of each type and name; at most a thousand kinds are told apart.
        earliest, latest: times of events, as they would go on the wire; None without any.
        bytes: of all events; smallest, largest: of one.
        dates: column to the form of its dates, and the timezone of naive ones.
        duplicates: message ids that come more than once (about).
        problems: every kind of error.
        ignored: keys of messages that no call has.
        stopped: why an input was not read to its end; None if all were.
        seconds: that it took.
    """

    rows: int
    valid: int
    events: Mapping[tuple[str, str], int]
    earliest: str | None
    latest: str | None
    bytes: int
    smallest: int
    largest: int
    dates: Mapping[str, str]
    duplicates: int
    problems: tuple[Problem, ...]
    ignored: Mapping[str, int]
    stopped: str | None
    seconds: float

    @property
    def exit_status(self) -> int:
        """0: every row is valid; 3: some would be rejected; 1: an input could not be read to its end."""
        if self.stopped is not None:
            return 1
        return 3 if self.valid < self.rows else 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is.

    Attributes:
        name: the input that is being read.
        rows: read in this run, of all inputs.
        settled_before: of these, settled by earlier runs.
        delivered: events that the server took.
        rejected: rows in the reject files.
        share: of everything that is settled, 0 to 1, by the inputs' bytes; None where that is not known.
        trouble: the last answer, if it was none that is wished for.
    """

    name: str
    rows: int
    settled_before: int
    delivered: int
    rejected: int
    share: float | None
    trouble: str
