"""Tables of NDJSON: one JSON object a line. A line that is something else is `Bad`; blank lines are no rows."""

from collections.abc import Iterator
from typing import Any

from analytics_client.importer.compression import Read
from analytics_client.importer.jsontext import loads
from analytics_client.importer.lines import MOST, TooLong, as_utf8, lines
from analytics_client.importer.tables import Bad, Row


class JsonLines:
    """Reads NDJSON. Arguments as for `Delimited`."""

    columns = None

    def __init__(self, read: Read, *, encoding: str | None, most: int = MOST) -> None:
        self._lines = lines(as_utf8(read, encoding), most)

    def rows(self) -> Iterator[Row]:
        """Yield every object: raw is its line."""
        for number, line in enumerate(self._lines, 1):
            if isinstance(line, TooLong):
                yield number, line.head, Bad(f"is a line of {line.length:,} bytes (see --max-line-bytes)")
                continue
            text = line.strip()
            if not text:
                continue
            try:
                values = loads(text)
            except ValueError as error:
                yield number, text, Bad(str(error))
                continue
            yield number, text, values if type(values) is dict else Bad("is no JSON object")

    def content(self, raw: Any) -> bytes:
        """The line."""
        return bytes(raw)
