"""Tables of one JSON array of objects, read piece by piece: the array may be larger than memory.

An element that is no object is `Bad`. Where the text stops being JSON nobody can tell where the next element begins:
the import stops there, after every element before.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Any

from analytics_client.importer.compression import Read
from analytics_client.importer.faults import InputBroken
from analytics_client.importer.jsontext import DECODER
from analytics_client.importer.lines import MOST, as_utf8
from analytics_client.importer.tables import Bad, Row

_BLOCK = 64 * 1024
_BLANK = " \t\r\n"


class JsonArray:
    """Reads an array. `most`: characters of one element; the others as for `Delimited`."""

    columns = None

    def __init__(self, read: Read, name: str, *, encoding: str | None, most: int = MOST) -> None:
        self._read = as_utf8(read, encoding)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._name = name
        self._most = most
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False

    def rows(self) -> Iterator[Row]:
        """Yield every element: raw is its text."""
        self._expect("[", "is no JSON array: it does not begin with [")
        if self._next() == "]":
            self._at += 1
        else:
            while True:
                self._next()
                raw, values = self._element()
                if len(raw) > self._most:
                    yield self._line, raw[:200], Bad(f"is an element of {len(raw):,} characters (see --max-line-bytes)")
                else:
                    yield self._line, raw, values if type(values) is dict else Bad("is no JSON object")
                if self._next() == "]":
                    self._at += 1
                    break
                self._expect(",", "is no JSON: after an element there is neither , nor ]")
        if self._next():
            raise self._stopped("goes on after the end of its array: only the array was read")

    def content(self, raw: Any) -> bytes:
        """The element's text."""
        return str(raw).encode("utf-8", "surrogatepass")

    def _element(self) -> tuple[str, Any]:
        while True:
            try:
                values, end = DECODER.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                # Perhaps only the end of the element is missing.
                held = len(self._text) - self._at
                if held <= self._most and self._fill():
                    continue
                if held > self._most:
                    raise self._stopped(
                        f"is no JSON, or has an element of more than {self._most:,} characters (--max-line-bytes)"
                    ) from None
                said = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
                raise self._stopped(f"breaks off or is no JSON: {said}") from None
            except ValueError:
                raise self._stopped("has NaN, an infinity, or a number too long: none is JSON") from None
            if end < len(self._text) or not self._fill():  # a number at the end might go on
                raw = self._text[self._at : end]
                self._line += raw.count("\n")
                self._at = end
                return raw, values

    def _next(self) -> str:
        """Skip blanks; return the character that follows, "" at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _BLANK:
                    return character
                self._line += character == "\n"
                self._at += 1
            if not self._fill():
                return ""

    def _expect(self, character: str, problem: str) -> None:
        found = self._next()
        if found != character:
            raise self._stopped(problem if found else "breaks off before the end of its array")
        self._at += 1

    def _fill(self) -> bool:
        """Read more text; False at the end."""
        if self._ended:
            return False
        # As much again as is held: an element that is cut is looked at few times, however long it is.
        block = self._read(max(_BLOCK, len(self._text) - self._at))
        try:
            more = self._decode(block, not block)
        except UnicodeDecodeError:
            raise self._stopped("has bytes that are not UTF-8 (see --encoding)") from None
        self._ended = not block
        self._text, self._at = self._text[self._at :] + more, 0
        return True

    def _stopped(self, problem: str) -> InputBroken:
        return InputBroken(f"{self._name}: line {self._line}: {problem}")
