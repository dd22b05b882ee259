"""The inputs of an import: which files a command means, what they are called in ids, and opening one as a table."""

import glob
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

from analytics_client.errors import ConfigError
from analytics_client.importer.compression import SUFFIXES, Read, open_bytes, unpacked
from analytics_client.importer.delimited import Delimited
from analytics_client.importer.faults import InputBroken
from analytics_client.importer.jsonarray import JsonArray
from analytics_client.importer.jsonlines import JsonLines
from analytics_client.importer.lines import MOST
from analytics_client.importer.parquet import Parquet
from analytics_client.importer.tables import Row, Table

FORMATS = ("csv", "tsv", "ndjson", "json", "parquet")
_BY_SUFFIX = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip

#: The end of a reject file's name: not the format's, or a second `*.csv` would take it for an input.
REJECTED = ".rejected"

# Rows, and bytes of them, by which dates and columns are known before the first event is sent.
SAMPLE_ROWS = 10_000
_SAMPLE_BYTES = 8 * 1024 * 1024
_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Input:
    """One file, or standard input.

    Attributes:
        path: None for standard input.
        place: what it is called in ids: its name without a compression's suffix, with as many of its directories as
            tell it from the other inputs of the same import.
    """

    path: Path | None
    place: str

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return "standard input" if self.path is None else str(self.path)


@dataclass(frozen=True, slots=True)
class Reading:
    """How inputs are read. What is None is told by the input itself.

    Attributes:
        format: one of `FORMATS`.
        encoding: of text; UTF-8 or by the byte order mark.
        delimiter: of CSV.
        max_line_bytes: a longer line is rejected.
    """

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    max_line_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise ConfigError(f"format must be one of {', '.join(FORMATS)}, not {self.format!r}")


class Opened:
    """An input, open, with a sample of its rows.

    Attributes:
        source: the input.
        format: one of `FORMATS`; what was given, or found.
        table: reads it.
        delimiter: of CSV.
        sample: its first rows.
    """

    def __init__(
        self, source: Input, reading: Reading, stdin: IO[bytes] | None = None, *, rows: int = SAMPLE_ROWS
    ) -> None:
        self.source = source
        self._raw: IO[bytes] | None = None
        self._parquet: Parquet | None = None
        self._size = source.path.stat().st_size if source.path is not None and source.path.is_file() else 0
        self.table: Table
        self.format: str
        self.delimiter = reading.delimiter or ","
        try:
            self._open(reading, stdin or sys.stdin.buffer)
        except BaseException:
            self.close()
            raise
        self._rows = self.table.rows()
        self.sample: list[Row] = []
        self._fault: InputBroken | None = None
        held = 0
        try:
            for row in self._rows:
                self.sample.append(row)
                held += len(self.table.content(row[1]))
                if len(self.sample) >= rows or held >= _SAMPLE_BYTES:
                    break
        except InputBroken as fault:
            self._fault = fault

    def _open(self, reading: Reading, stdin: IO[bytes]) -> None:
        source, name = self.source, self.source.name
        self._raw, head = open_bytes(source.path, stdin)
        kind = reading.format or ("parquet" if head.startswith(b"PAR1") else _format_of(source))
        if kind == "parquet":
            if source.path is None:
                raise ConfigError("Parquet cannot be read from standard input, where nobody can go back: give a file")
            self.close()
            self.format = kind
            self.table = self._parquet = Parquet(source.path, name)
            return
        read, first = _peeked(unpacked(self._raw, head, name))
        if kind is None or kind == "json":
            start = first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
            kind = {b"[": "json", b"{": "ndjson"}.get(start, "ndjson" if kind == "json" else None)
        if kind is None:
            raise ConfigError(f"{name}: its name does not say its format: give --format {'|'.join(FORMATS)}")
        self.format = kind
        most = reading.max_line_bytes or MOST
        if kind in ("csv", "tsv"):
            if kind == "tsv" and reading.delimiter is None:
                self.delimiter = "\t"
            self.table = Delimited(read, name, delimiter=self.delimiter, encoding=reading.encoding, most=most)
        elif kind == "ndjson":
            self.table = JsonLines(read, encoding=reading.encoding, most=most)
        else:
            self.table = JsonArray(read, name, encoding=reading.encoding, most=most)

    def values(self) -> list[Any]:
        """Return the readable rows of the sample."""
        return [values for _, _, values in self.sample if isinstance(values, (list, tuple, dict))]

    def rows(self) -> Iterator[Row]:
        """Yield all rows, the sample first; once."""
        return chain(self.sample, self._rest())

    def _rest(self) -> Iterator[Row]:
        if self._fault is not None:
            raise self._fault
        self.sample = []
        yield from self._rows

    def share(self) -> float | None:
        """Return how much of the input was read, 0 to 1; None where that cannot be known."""
        if self._raw is None or self._raw.closed or not self._size:
            return None
        return min(1.0, self._raw.tell() / self._size)

    def close(self) -> None:
        """Close the file, but never standard input."""
        if self._raw is not None and self.source.path is not None:
            self._raw.close()
        if self._parquet is not None:
            self._parquet.close()


def _peeked(read: Read) -> tuple[Read, bytes]:
    """Return a `read` that gives everything, and its beginning."""
    first = read(_HEAD)
    kept: bytes = first

    def again(size: int) -> bytes:
        nonlocal kept
        if kept:
            block, kept = kept, b""
            return block
        return read(size)

    return again, first


def _format_of(source: Input) -> str | None:
    if source.path is None:
        return None
    name = source.path.name.removesuffix(REJECTED)  # a reject file is in the format of its input
    return _BY_SUFFIX.get(Path(bare(name)).suffix.lower())


def bare(name: str) -> str:
    """Take a compression's suffix off a name: unpacked or not, it is the same data."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def find_inputs(files: Sequence[str | Path]) -> list[Input]:
    """Return the inputs that file names and patterns mean; `-` is standard input; one named twice is read once.

    Raises:
        ConfigError: nothing matches, or something is no file.
    """
    paths: list[Path | None] = []
    for given in files:
        name = str(given)
        if name == "-":
            paths.append(None)
            continue
        exists = Path(name).exists()  # a file may have brackets in its name
        found = [name] if exists or not glob.has_magic(name) else sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - takes absolute patterns, too
        matched = [path for path in map(Path, found) if exists or not path.is_dir()]
        if not matched:
            raise ConfigError(f"no file matches {name}")
        for path in matched:
            if path.is_dir():
                raise ConfigError(f"{path} is a directory: give its files, as in {path}/*.csv")
            if not path.exists():
                raise ConfigError(f"there is no file {path}")
        paths += matched
    if not paths:
        raise ConfigError("no file is given")
    unique = list({None if path is None else path.resolve(): path for path in paths}.values())
    return [Input(path, place) for path, place in zip(unique, _places(unique), strict=True)]


def _places(paths: Sequence[Path | None]) -> list[str]:
    """Return a name for each path, of as few of its last parts as tell all apart."""
    parts = [("stdin",) if path is None else (*path.resolve().parts[:-1], bare(path.name)) for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        places = ["/".join(each[-depth:]) for each in parts]
        if len(set(places)) == len(places):
            return places
    raise ConfigError("a file is given both packed and unpacked: their rows would have the same ids")


def identity(source: Input, opened: Opened | None = None) -> dict[str, Any]:
    """Return what tells this input from one that was changed since; standard input has to be open for that."""
    if source.path is None:
        assert opened is not None
        digest = hashlib.sha256()
        for _, raw, _ in opened.sample[:100]:
            digest.update(opened.table.content(raw))
        return {"size": None, "modified_ns": None, "head": digest.hexdigest()[:32]}
    status = source.path.stat()
    with source.path.open("rb") as file:
        head = hashlib.sha256(file.read(_HEAD)).hexdigest()[:32]
    return {"size": status.st_size, "modified_ns": status.st_mtime_ns, "head": head}
