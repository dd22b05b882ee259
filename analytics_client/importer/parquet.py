"""Tables of Parquet files, read batch by batch. The only module that imports pyarrow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analytics_client.errors import ConfigError
from analytics_client.importer.faults import InputBroken
from analytics_client.importer.tables import Row

# Rows decoded at once.
_BATCH = 4_096


class Parquet:
    """Reads a file.

    Raises:
        ConfigError: pyarrow is missing.
        InputBroken: it is no Parquet file.
    """

    def __init__(self, path: Path, name: str) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra of its own
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError:
            raise ConfigError("Parquet files need the package pyarrow: install analytics_client[parquet]") from None
        self._fault: type[Exception] = pa.ArrowException
        self._name = name
        try:
            self._file = parquet.ParquetFile(path, memory_map=False)
        except (self._fault, OSError) as error:
            raise InputBroken(f"{name} is no whole Parquet file ({type(error).__name__})") from None
        self.columns: list[str] = list(self._file.schema_arrow.names)

    def rows(self) -> Iterator[Row]:
        """Yield every row: raw is its values."""
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=_BATCH, use_threads=False):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, values, values
        except (self._fault, OSError) as error:
            raise InputBroken(
                f"{self._name} is damaged after row {number:,} ({type(error).__name__}): every row before was read"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def content(self, raw: Any) -> bytes:
        """The values as Python writes them."""
        return repr(raw).encode("utf-8", "surrogatepass")
