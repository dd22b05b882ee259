"""Bytes of an input, decompressed: plain, gzip, bzip2, Zstandard, from a file or from standard input.

Told by the first bytes, not by the name: what a browser has unpacked on the way still ends in `.gz`. Owns the sentence
for an input that breaks off in the middle. Knows nothing of rows.
"""

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from analytics_client.errors import ConfigError
from analytics_client.importer.faults import InputBroken

Read = Callable[[int], bytes]

#: Names that do not count when a format is told by the name.
SUFFIXES = (".gz", ".gzip", ".bz2", ".zst", ".zstd")

# Compressed bytes fed at once: one of them may become thousands.
_FED = 16 * 1024


def open_bytes(path: Path | None, stdin: IO[bytes]) -> "tuple[IO[bytes], bytes]":
    """Open a file, or standard input for None; return the raw file, which can be peeked into, and its first bytes.

    Raises:
        InputBroken: it cannot be opened.
    """
    try:
        raw = io.BufferedReader(io.FileIO(path), 256 * 1024) if path is not None else cast("io.BufferedReader", stdin)
        return raw, raw.peek(8)[:8]
    except OSError as error:
        raise InputBroken(f"{path or 'standard input'} cannot be read: {error.strerror or error}") from None


def unpacked(raw: IO[bytes], head: bytes, name: str) -> Read:
    """Return a `read` of decompressed bytes, whose faults are `InputBroken` sentences; b"" is the end.

    Raises:
        ConfigError: it is Zstandard, and the package for that is missing.
    """
    if head.startswith(b"\x1f\x8b"):
        return _guarded(cast("Read", gzip.GzipFile(fileobj=raw, mode="rb").read1), "gzip", name)
    if head.startswith(b"BZh"):
        return _guarded(cast("Read", bz2.BZ2File(raw).read1), "bzip2", name)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return _guarded(_zstd(raw), "Zstandard", name)
    return _guarded(raw.read1 if isinstance(raw, io.BufferedReader) else raw.read, "", name)


def _guarded(read: Read, kind: str, name: str) -> Read:
    def guarded(size: int) -> bytes:
        try:
            return read(size)
        except EOFError:
            raise InputBroken(
                f"{name} breaks off in the middle of its {kind} data: every row before that was read; "
                "get the whole file and import it again (ids stay the same)"
            ) from None
        except (OSError, zlib.error) as error:
            what = f"its {kind} data is damaged" if kind else "it cannot be read any further"
            said = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise InputBroken(f"{name}: {what} ({said}): every row before that was read") from None

    return guarded


def _zstd(raw: IO[bytes]) -> Read:
    try:
        import zstandard  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise ConfigError("Zstandard files need the package zstandard: install analytics_client[zstd]") from None

    def pieces() -> Iterator[bytes]:
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        begun = False
        while fed := raw.read(_FED):
            while fed:
                try:
                    piece = unpacker.decompress(fed)
                except zstandard.ZstdError as error:
                    raise OSError(0, type(error).__name__) from None
                begun, fed = True, b""
                if unpacker.eof:  # one frame of several
                    fed, unpacker, begun = unpacker.unused_data, zstandard.ZstdDecompressor().decompressobj(), False
                if piece:
                    yield piece
        if begun:
            raise EOFError

    stream = pieces()
    kept = b""

    def read(size: int) -> bytes:
        nonlocal kept
        if not kept:
            kept = next(stream, b"")
        piece, kept = kept[:size], kept[size:]
        return piece

    return read
