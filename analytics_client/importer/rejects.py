"""The reject file: rows that did not become a delivered event, in the format of their input, each with the reason.

CSV and TSV get a first column `_rejected`, JSON objects a first key of that name; a line that is no object stands whole
(its beginning, if it was too long) under `_raw`. Rows of Parquet become NDJSON, which can be corrected by hand. The
text is UTF-8. Corrected, the file can be imported with the same mapping: the reason is no data. An older file is never
overwritten.
"""

import csv
import io
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analytics_client.importer.checkpoint import write_all
from analytics_client.importer.faults import ImportStopped
from analytics_client.importer.inputs import REJECTED
from analytics_client.importer.tables import REASON

RAW = "_raw"


class Rejects:
    """Writes one reject file, which begins to exist with the first row. Thread-safe.

    Args:
        base: the file's path without `.rejected`.
        kind: the input's format.
        columns: of a table.
        delimiter: of CSV.
        begun: name and bytes of a file to go on with; what is behind those bytes is cut off.
    """

    def __init__(
        self,
        base: Path,
        kind: str,
        columns: Sequence[str] | None,
        *,
        delimiter: str = ",",
        begun: tuple[str, int] = ("", 0),
    ) -> None:
        self._kind = kind
        self._columns = columns or ()
        self._delimiter = delimiter
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._file: int | None = None
        self._size = 0
        name, self._size = begun
        #: Chosen at once, so that a checkpoint can name it before it exists.
        self.path = base.with_name(name) if name else _free(base)
        if self._size or (name and self.path.exists()):
            try:
                self._file = os.open(self.path, os.O_WRONLY)
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, 0, os.SEEK_END)
            except OSError as error:
                raise self._stopped(error) from None

    def add(self, raw: Any, reason: str) -> None:
        """Add a row; it is in the file after the next `sync`."""
        with self._lock:
            first = not self._waiting and not self._size
            self._waiting.append(self._begin() if first else b"")
            if self._kind in ("csv", "tsv"):
                self._waiting.append(self._cells([reason, *raw]))
            else:
                self._waiting.append(self._object(raw, reason, first=first))

    @property
    def exists(self) -> bool:
        """Whether anything is in the file."""
        return self._size > 0

    def sync(self) -> tuple[str, int]:
        """Force what was added to disk; return the file's name and size.

        Raises:
            ImportStopped: the disk is full, or the like.
        """
        with self._lock:
            if self._waiting:
                content = b"".join(self._waiting)
                try:
                    if self._file is None:
                        # Rows may be personal data: nobody else's to read.
                        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                    write_all(self._file, content)
                    os.fsync(self._file)
                except OSError as error:
                    raise self._stopped(error) from None
                self._waiting.clear()
                self._size += len(content)
            return self.path.name, self._size

    def close(self, *, done: bool) -> None:
        """Let the file go; `done`: nothing will be added any more."""
        self.sync()
        with self._lock:
            if self._file is None:
                return
            try:
                if done and self._kind == "json":
                    write_all(self._file, b"\n]\n")
            except OSError as error:
                raise self._stopped(error) from None
            finally:
                os.close(self._file)
                self._file = None

    def _begin(self) -> bytes:
        if self._kind in ("csv", "tsv"):
            return self._cells([REASON, *self._columns])
        return b"[\n" if self._kind == "json" else b""

    def _cells(self, cells: Sequence[str]) -> bytes:
        line = io.StringIO()
        csv.writer(line, delimiter=self._delimiter, lineterminator="\n").writerow(cells)
        return line.getvalue().encode("utf-8", "surrogateescape")

    def _object(self, raw: Any, reason: str, *, first: bool) -> bytes:
        why = json.dumps({REASON: reason}, ensure_ascii=False)
        if self._kind == "parquet":
            row = dict(zip(self._columns, raw, strict=True))
            text = json.dumps(row, ensure_ascii=False, default=str)
        else:
            text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
        text = text.strip()
        if not text.startswith("{") or not text.endswith("}"):
            text = json.dumps({RAW: text}, ensure_ascii=False)
        inner = text[1:].lstrip()
        joined = why[:-1] + ("" if inner == "}" else ", ") + inner
        if self._kind == "json":
            return (("" if first else ",\n") + joined).encode("utf-8", "surrogatepass")
        return (joined + "\n").encode("utf-8", "surrogatepass")

    def _stopped(self, error: OSError) -> ImportStopped:
        return ImportStopped(
            f"the reject file {self.path} cannot be written ({error.strerror}): make room, or choose "
            "another place with --state, and go on with --resume"
        )


def _free(base: Path) -> Path:
    """Return a path where nothing is: an older reject file may be in somebody's work."""
    number = 1
    while (path := base.with_name(f"{base.name}{'' if number == 1 else f'.{number}'}{REJECTED}")).exists():
        number += 1
    return path
