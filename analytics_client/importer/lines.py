"""Lines of bytes, each of bounded length: what is longer is told of and skipped, never held.

Line ends are LF, CR LF and CR; they stay with the line. A byte order mark is taken off, other encodings than UTF-8
become UTF-8. Knows nothing of what is in a line.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from analytics_client.errors import ConfigError
from analytics_client.importer.compression import Read

#: Bytes that one line may have where the user says nothing: an event may have 32 KiB.
MOST = 1024 * 1024

_BLOCK = 256 * 1024
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class TooLong:
    """Stands for a line that was skipped: its length in bytes, and how it begins."""

    length: int
    head: bytes


def lines(read: Read, most: int = MOST) -> Iterator[bytes | TooLong]:
    """Yield lines with their ends; the last one may have none.

    Args:
        read: of decompressed UTF-8.
        most: bytes of a line.
    """
    tail = b""
    skipped = 0  # bytes of a line that is too long, while inside it
    head = b""
    while block := read(_BLOCK):
        if skipped:
            end = block.find(b"\n") + 1
            skipped += end or len(block)
            if not end:
                continue
            yield TooLong(skipped, head)
            skipped, block = 0, block[end:]
        whole = (tail + block if tail else block).splitlines(keepends=True)
        tail = b"" if not whole or whole[-1].endswith(b"\n") else whole.pop()
        for line in whole:
            yield line if len(line) <= most else TooLong(len(line), line[:200])
        if len(tail) > most:
            skipped, head, tail = len(tail), tail[:200], b""
    if skipped:
        yield TooLong(skipped, head)
    elif tail:
        yield tail if len(tail) <= most else TooLong(len(tail), tail[:200])


def as_utf8(read: Read, encoding: str | None) -> Read:
    """Return a `read` of the same text in UTF-8, without its byte order mark.

    Bytes that have no meaning in the encoding stay as they are, so that their line can be refused, and no other.

    Args:
        encoding: None: UTF-8, or what the byte order mark says.

    Raises:
        ConfigError: no encoding has that name.
    """
    first = read(_BLOCK)
    while 0 < len(first) < 4 and (more := read(_BLOCK)):
        first += more
    for mark, meant in _MARKS.items():
        if first.startswith(mark):
            first, encoding = first[len(mark) :], encoding or meant
            break
    try:
        name = codecs.lookup(encoding or "utf-8").name
        decode = codecs.getincrementaldecoder(name)("surrogateescape").decode
    except LookupError:
        raise ConfigError(f"encoding: there is none called {encoding!r}; try utf-8, cp1252, latin-1, utf-16") from None

    def again(size: int) -> bytes:
        nonlocal first
        block, first = (first, b"") if first else (read(size), b"")
        return block

    if name in ("utf-8", "utf-8-sig", "ascii"):
        return again

    def recoded(size: int) -> bytes:
        while block := again(size):
            if text := decode(block):
                return text.encode("utf-8", "surrogateescape")
        return decode(b"", True).encode("utf-8", "surrogateescape")

    return recoded
