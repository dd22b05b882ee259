"""What is known before the first event is sent: the inputs, their columns, the form of their dates.

Whatever is wrong with the mapping, with any of the files' columns, or with dates that could mean two times, is refused
here. Opens every input once for its sample.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_client.errors import ConfigError
from analytics_client.importer.dates import DateForm
from analytics_client.importer.inputs import SAMPLE_ROWS, Input, Opened, Reading, find_inputs
from analytics_client.importer.mapping import RowMapping
from analytics_client.importer.messages import Messages

if TYPE_CHECKING:
    from analytics_client.importer.binding import Calls

# Rows of each sample, however many inputs there are.
_LEAST_ROWS = 200


@dataclass(slots=True)
class Plan:
    """A checked import.

    Attributes:
        inputs: in the order of reading.
        reading: how.
        mapping: of rows; None: the inputs hold messages of the spec.
        forms: column to the form of its dates.
        messages: makes calls where there is no mapping.
    """

    inputs: list[Input]
    reading: Reading
    mapping: RowMapping | None
    forms: dict[str, DateForm] = field(default_factory=dict)
    messages: Messages = field(default_factory=Messages)
    _first: Opened | None = None

    @classmethod
    def make(cls, files: Sequence[str | Path], reading: Reading, mapping: RowMapping | None) -> "Plan":
        """Look at every input.

        Raises:
            ConfigError: something in the mapping does not fit an input.
            InputBroken: an input cannot be opened.
        """
        plan = cls(find_inputs(files), reading, mapping)
        try:
            plan._look()
        except BaseException:
            plan.close()
            raise
        return plan

    def _look(self) -> None:
        mapping = self.mapping
        rows = max(_LEAST_ROWS, SAMPLE_ROWS // len(self.inputs))
        undecided: list[tuple[Sequence[str] | None, list[Any], ConfigError]] = []
        for each in self.inputs:
            opened = Opened(each, self.reading, rows=rows)
            columns, values = opened.table.columns, opened.values()
            if each is self.inputs[0]:
                self._first = opened  # standard input can be read once only
            else:
                opened.close()
            if mapping is None:
                _refuse_table(each, columns)
                continue
            try:
                self.forms |= mapping.bind(columns, values, known=self.forms).forms
            except ConfigError as error:
                # Another input may show which form the dates have.
                undecided.append((columns, [_merged(values)] if columns is None else values[:1], error))
        for columns, values, refusal in undecided:
            if mapping is None or not self.forms:
                raise refusal
            mapping.bind(columns, values, known=self.forms)

    def open(self, source: Input) -> tuple[Opened, Any]:
        """Open an input for reading; return it, and what turns its rows into calls."""
        first, self._first = self._first, None
        opened = first if first is not None and first.source is source else Opened(source, self.reading)
        if self.mapping is None:
            return opened, self.messages
        calls: Calls = self.mapping.bind(opened.table.columns, opened.values(), known=self.forms)
        return opened, calls

    def close(self) -> None:
        """Close what was opened and not yet asked for."""
        if self._first is not None:
            self._first.close()

    def digest(self) -> str:
        """Return what tells this way of making events from another one."""
        what = "messages" if self.mapping is None else self.mapping.digest()
        return hashlib.sha256(f"{what} {self.reading}".encode()).hexdigest()[:16]

    def dates(self) -> dict[str, str]:
        """Say how the dates of each column are read."""
        return {name: f"{form.name}, naive times are {form.zone or 'UTC'}" for name, form in self.forms.items()}


def _refuse_table(source: Input, columns: Sequence[str] | None) -> None:
    if columns is not None:
        raise ConfigError(
            f"{source.name} is a table, and needs a mapping of its columns: --type, --user-id and so on, or "
            f"--mapping FILE. Its columns are {', '.join(map(repr, columns[:30]))}"
        )


def _merged(rows: list[Any]) -> dict[str, Any]:
    """Return one row that has every column of some."""
    return {key: value for row in rows for key, value in row.items()}
