"""Tables of CSV and TSV files.

The first row names the columns. A row with more or fewer cells, bytes that are not UTF-8, a quote in the wrong place:
each is `Bad`, and the next row is read again. Blank lines are no rows.
"""

import csv
from collections.abc import Iterator
from typing import Any

from analytics_client.errors import ConfigError
from analytics_client.importer.compression import Read
from analytics_client.importer.lines import MOST, TooLong, as_utf8, lines
from analytics_client.importer.tables import Bad, Row

# Cells of a row that cannot be read, kept for the reject file.
_SEPARATOR = "\x1f"


class Delimited:
    """Reads delimited text.

    Args:
        read: decompressed bytes.
        name: the input's, for errors.
        delimiter: one character.
        encoding: see `as_utf8`.
        most: bytes of a line.

    Raises:
        ConfigError: there is no header, or the delimiter is not one character.
    """

    def __init__(self, read: Read, name: str, *, delimiter: str, encoding: str | None, most: int = MOST) -> None:
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise ConfigError(f"delimiter must be one character, not {delimiter!r}")
        self._trouble: str | None = None  # of the physical lines of the row that is being read
        self._reader = csv.reader(
            map(self._decoded, lines(as_utf8(read, encoding), most)), delimiter=delimiter, strict=True
        )
        self.columns: list[str] = self._header(name)
        if len(self.columns) == 1:
            for other in ",;\t|":
                if other in self.columns[0] and other != delimiter:
                    raise ConfigError(f"{name} has one column only: is {other!r} its --delimiter?")

    def _header(self, name: str) -> list[str]:
        try:
            for row in self._reader:
                if self._trouble is not None:
                    raise ConfigError(f"{name}: its first line, which names the columns, {self._trouble}")
                if row:
                    return [each.strip() for each in row]
        except csv.Error as error:
            raise ConfigError(f"{name}: its first line, which names the columns, is no CSV: {error}") from None
        raise ConfigError(f"{name} is empty: it has no line that names the columns")

    def _decoded(self, line: bytes | TooLong) -> str:
        if isinstance(line, TooLong):
            self._trouble = f"has a line of {line.length:,} bytes (see --max-line-bytes)"
            return line.head.decode("utf-8", "replace").replace('"', "'") + "\n"
        try:
            return line.decode()
        except UnicodeDecodeError:
            self._trouble = "has bytes that are not UTF-8 (for the whole file, see --encoding)"
            return line.decode("utf-8", "surrogateescape")

    def rows(self) -> Iterator[Row]:
        """Yield every row: raw is its cells."""
        reader, width = self._reader, len(self.columns)
        while True:
            try:
                for row in reader:
                    if self._trouble is not None:
                        yield reader.line_num, row, Bad(self._trouble)
                        self._trouble = None
                    elif len(row) == width:
                        yield reader.line_num, row, row
                    elif row:
                        yield reader.line_num, row, Bad(f"has {len(row)} cells, the header {width}")
                return
            except csv.Error as error:
                said = str(error).replace("field limit (131072)", "limit of 131,072 characters: is a quote not closed?")
                yield reader.line_num, [], Bad(f"is no CSV: {said}")
                self._trouble = None

    def content(self, raw: Any) -> bytes:
        """The cells."""
        return _SEPARATOR.join(raw).encode("utf-8", "surrogateescape")
