"""A table: an input opened for reading, whatever its format. What the formats have in common, and telling them apart.

A table yields `(line, raw, values)` for each row:

    line    where the row ends, counted from 1 (Parquet: the row's own number), for people
    raw     what a reject file needs to write the row again, and what its id is made of
    values  a list in the order of the columns, a dict, or a `Bad` that says why the row cannot be read

A row that cannot be read costs itself and nothing else. An input that cannot be read any further raises
`InputBroken`, after every row before that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Bad:
    """Stands for a row that cannot be read, and says why: the middle of a sentence, without the row's content."""

    reason: str


#: The column or key by which a reject file says why: no mapping's `*` takes it for data.
REASON = "_rejected"

#: line, raw, values
Row = tuple[int, Any, Any]


class Table(Protocol):
    """An open input."""

    @property
    def columns(self) -> Sequence[str] | None:
        """The names of the columns; None: rows are dicts."""

    def rows(self) -> Iterator[Row]:
        """Yield every row, once."""

    def content(self, raw: Any) -> bytes:
        """Return the bytes that a row's id is made of."""
