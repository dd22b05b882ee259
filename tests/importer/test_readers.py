"""Inputs as tables: every format, packed or not; what is wrong costs one row, and says which."""

import bz2
import gzip
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard

from analytics_client import ConfigError
from analytics_client.importer import InputBroken
from analytics_client.importer.inputs import Input, Opened, Reading, find_inputs
from analytics_client.importer.lines import TooLong, as_utf8, lines
from analytics_client.importer.tables import Bad

CSV = "id,name,date\n1,Ann,2020-01-01\n2,Bob,2020-01-02\n"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}


_OPEN: list[Opened] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def opened(path: Path, content: bytes | str, **reading: Any) -> Opened:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    _OPEN.append(Opened(Input(path, path.name), Reading(**reading)))
    return _OPEN[-1]


def rows(path: Path, content: bytes | str, **reading: Any) -> list[tuple[int, Any]]:
    """Return line and values, or the reason, of each row."""
    return [
        (line, values.reason if isinstance(values, Bad) else values)
        for line, _, values in opened(path, content, **reading).rows()
    ]


def dripping(content: bytes, size: int) -> Callable[[int], bytes]:
    """Return a read that gives a few bytes at a time."""
    file = io.BytesIO(content)
    return lambda _size: file.read(size)


# -- lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_do_not_depend_on_how_bytes_arrive(size: int) -> None:
    content = b"a\nbb\r\n\nccc\r\nlast"
    assert list(lines(dripping(content, size))) == [b"a\n", b"bb\r\n", b"\n", b"ccc\r\n", b"last"]


@pytest.mark.parametrize("size", [1, 5, 64, 10_000])
@pytest.mark.parametrize("end", [b"\nafter\n", b"\n", b""])
def test_a_line_that_is_too_long_is_skipped_and_the_next_one_read(size: int, end: bytes) -> None:
    content = b"before\n" + b"x" * 1_000 + end
    found = list(lines(dripping(content, size), most=100))
    assert found[0] == b"before\n"
    assert isinstance(found[1], TooLong)
    assert found[1].length == 1_000 + bool(end)
    assert len(found[1].head) <= 200 + size
    assert found[2:] == ([b"after\n"] if b"after" in end else [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-8-sig"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_encodings_become_utf8(encoding: str, size: int) -> None:
    text = "Größe,naïve\n1,é\n"
    read = as_utf8(dripping(text.encode(encoding), size), None if encoding in ("utf-16", "utf-8-sig") else encoding)
    assert b"".join(line for line in lines(read) if isinstance(line, bytes)).decode() == text


def test_an_encoding_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="there is none called 'utf-9'"):
        as_utf8(io.BytesIO(b"x").read, "utf-9")


# -- compression -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", PACKERS)
def test_every_compression_whatever_the_name(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix](CSV.encode())
    expected = [(2, ["1", "Ann", "2020-01-01"]), (3, ["2", "Bob", "2020-01-02"])]
    assert rows(tmp_path / f"a.csv{suffix}", packed) == expected
    assert rows(tmp_path / "b.csv", packed) == expected
    assert rows(tmp_path / "c.csv.gz", packed) == expected


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_several_packed_pieces_one_after_the_other(tmp_path: Path, suffix: str) -> None:
    pack = PACKERS[suffix]
    first, second = CSV[:30], CSV[30:]
    assert len(rows(tmp_path / "a.csv", pack(first.encode()) + pack(second.encode()))) == 2


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_a_packed_file_that_breaks_off_gives_the_rows_before(tmp_path: Path, suffix: str) -> None:
    import random

    noise = random.Random(1)
    body = "".join(f"{number},{noise.random()},2020-01-01\n" for number in range(60_000))
    packed = PACKERS[suffix](("id,name,date\n" + body).encode())
    table = opened(tmp_path / f"a.csv{suffix}", packed[: len(packed) * 2 // 3])
    found: list[str] = []
    with pytest.raises(InputBroken, match=r"breaks off in the middle of its .* data: every row before that was read"):
        found.extend(values[0] for _, _, values in table.rows())
    assert len(found) > 10_000
    assert found == [str(number) for number in range(len(found))]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_damaged_packed_data(tmp_path: Path, suffix: str) -> None:
    packed = bytearray(PACKERS[suffix]((CSV + "3,x,2020-01-01\n" * 50_000).encode()))
    packed[len(packed) // 2 :] = b"\xff\x00" * (len(packed) // 4)
    with pytest.raises((InputBroken, ConfigError), match=r"damaged|breaks off|empty"):
        list(opened(tmp_path / "a.csv", bytes(packed)).rows())


# -- CSV -------------------------------------------------------------------------------------------------------------


def test_rows_that_are_too_short_or_too_long(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.csv", CSV + "3,Cid\n\n4,Dan,2020-01-04,x\n5,Eve,2020-01-05\n") == [
        (2, ["1", "Ann", "2020-01-01"]),
        (3, ["2", "Bob", "2020-01-02"]),
        (4, "has 2 cells, the header 3"),
        (6, "has 4 cells, the header 3"),
        (7, ["5", "Eve", "2020-01-05"]),
    ]


def test_byte_order_mark_quotes_and_line_ends(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf"id", name \r\n1,"a ""b"", c\r\nd"\r\n2,\xc3\xa9\r\n'
    table = opened(tmp_path / "a.csv", content)
    assert table.table.columns == ["id", "name"]
    assert [(line, values) for line, _, values in table.rows()] == [(3, ["1", 'a "b", c\r\nd']), (4, ["2", "é"])]


def test_one_line_in_another_encoding_is_one_rejected_row(tmp_path: Path) -> None:
    content = b"id,name\n1,Ann\n2,J\xfcrgen\n3,Bob\n"
    table = opened(tmp_path / "a.csv", content)
    found = list(table.rows())
    assert [values for _, _, values in found if not isinstance(values, Bad)] == [["1", "Ann"], ["3", "Bob"]]
    [bad] = [row for row in found if isinstance(row[2], Bad)]
    assert (bad[0], bad[2].reason) == (3, "has bytes that are not UTF-8 (for the whole file, see --encoding)")
    assert bad[1][1].encode("utf-8", "surrogateescape") == b"J\xfcrgen"
    assert rows(tmp_path / "b.csv", content, encoding="cp1252")[1] == (3, ["2", "Jürgen"])


def test_a_quote_in_the_wrong_place_costs_its_row(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.csv", 'id,name\n1,"a"b\n2,c\n')
    assert found[0][1].startswith("is no CSV: ")
    assert found[1] == (3, ["2", "c"])


def test_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    [(_, reason)] = rows(tmp_path / "a.csv", 'id,name\n1,"a\n2,c\n')
    assert reason.startswith("is no CSV: unexpected end of data")
    found = rows(tmp_path / "b.csv", 'id,name\n1,"a\n' + "2,c\n" * 50_000)
    assert "is a quote not closed?" in found[0][1]


def test_a_line_of_csv_that_is_too_long(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.csv", 'id,name\n1,"' + "x" * 500 + '"\n2,c\n', max_line_bytes=100) == [
        (2, "has a line of 505 bytes (see --max-line-bytes)"),
        (3, ["2", "c"]),
    ]


def test_tsv_and_other_delimiters(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.tsv", "id\tname\n1\ta,b\n") == [(2, ["1", "a,b"])]
    assert rows(tmp_path / "a.csv", "id;name\n1;a\n", delimiter=";") == [(2, ["1", "a"])]
    with pytest.raises(ConfigError, match="has one column only: is ';' its --delimiter"):
        rows(tmp_path / "a.csv", "id;name\n1;a\n")
    with pytest.raises(ConfigError, match="delimiter must be one character"):
        rows(tmp_path / "a.csv", CSV, delimiter="::")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_table(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigError, match="is empty: it has no line that names the columns"):
        rows(tmp_path / "a.csv", content)


# -- JSON ------------------------------------------------------------------------------------------------------------


def test_ndjson(tmp_path: Path) -> None:
    content = '{"a": 1}\n\n [2] \n{"a": NaN}\n{"a": \n{"a": 1.10, "b": 12345678901234567890123, "c": 1e400}\n\xff'
    found = rows(tmp_path / "a.ndjson", content.encode("latin-1"))
    assert found == [
        (1, {"a": 1}),
        (3, "is no JSON object"),
        (4, "is not JSON: NaN is no JSON"),
        (5, "is not JSON: Expecting value (column 6)"),
        (6, {"a": 1.1, "b": 12345678901234567890123, "c": Decimal("1e400")}),
        (7, "is not UTF-8 (byte 1)"),
    ]


def test_digits_that_a_float_does_not_hold_are_kept(tmp_path: Path) -> None:
    [(_, row)] = rows(tmp_path / "a.ndjson", '{"a": 0.12345678901234567890, "t": "2015-02-02T00:30:08.276Z"}\n')
    assert row == {"a": Decimal("0.12345678901234567890"), "t": "2015-02-02T00:30:08.276Z"}
    [(_, row)] = rows(tmp_path / "a.json", '[{"a": 0.12345678901234567890, "b": 0.5}]')
    assert row == {"a": Decimal("0.12345678901234567890"), "b": 0.5}


def test_a_json_line_that_is_too_long_is_rejected_with_its_number(tmp_path: Path) -> None:
    content = b'{"a": 1}\n{"a": "' + b"x" * 3_000_000 + b'"}\n{"a": 3}\n'
    assert rows(tmp_path / "a.ndjson", content) == [
        (1, {"a": 1}),
        (2, "is a line of 3,000,010 bytes (see --max-line-bytes)"),
        (3, {"a": 3}),
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_array(tmp_path: Path, indent: int | None) -> None:
    rng = range(20_000)
    content = json.dumps([{"n": number, "s": "é" * (number % 50), "o": {"a": [1]}} for number in rng], indent=indent)
    found = rows(tmp_path / "a.json", "\ufeff \n" + content + "\n")
    assert [values["n"] for _, values in found] == list(rng)
    if indent:
        assert found[0][0] == 11
        assert found[1][0] == 20


def test_a_json_array_of_other_things(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.json", "[]") == []
    assert rows(tmp_path / "a.json", '[1, {"a": 2}, null, "x", 12]') == [
        (1, "is no JSON object"),
        (1, {"a": 2}),
        (1, "is no JSON object"),
        (1, "is no JSON object"),
        (1, "is no JSON object"),
    ]
    assert rows(tmp_path / "a.json", '{"a": 1}\n{"a": 2}\n') == [(1, {"a": 1}), (2, {"a": 2})]


def test_an_element_that_is_too_long(tmp_path: Path) -> None:
    content = '[{"a": "' + "x" * 2_000 + '"}, {"a": 1}]'
    assert rows(tmp_path / "a.json", content, max_line_bytes=1_000) == [
        (1, "is an element of 2,009 characters (see --max-line-bytes)"),
        (1, {"a": 1}),
    ]


@pytest.mark.parametrize(
    ("content", "good", "sentence"),
    [
        ('[{"a": 1}, {"a": 2', 1, "line 1: breaks off or is no JSON"),
        ('[{"a": 1},\n{"a": 2}\n', 2, "line 3: breaks off before the end of its array"),
        ('[{"a": 1} {"a": 2}]', 1, "after an element there is neither , nor ]"),
        ('[{"a": 1}, {"a": NaN}]', 1, "has NaN"),
        ('[{"a": 1}] {"a": 2}', 1, "goes on after the end of its array"),
        ('[{"a": 1}, {"a": \xff}]', 0, "not UTF-8"),
        ('[{"a": 1}, {"a": "' + "x" * 90_000 + '"}]', 1, "an element of more than 1,000 characters"),
    ],
)
def test_an_array_that_stops_being_json(tmp_path: Path, content: str, good: int, sentence: str) -> None:
    table = opened(tmp_path / "a.json", content.encode("latin-1"), format="json", max_line_bytes=1_000)
    assert len(table.sample) == good
    with pytest.raises(InputBroken, match=sentence):
        list(table.rows())


# -- Parquet ---------------------------------------------------------------------------------------------------------


def test_parquet(tmp_path: Path) -> None:
    from datetime import datetime

    import pyarrow as pa
    from pyarrow import parquet

    when = datetime(2020, 1, 1, 12)
    columns = {"id": [1, 2], "name": ["Ann", None], "when": [when] * 2}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = Opened(Input(tmp_path / "a.parquet", "a"), Reading())
    assert table.table.columns == ["id", "name", "when"]
    assert [(line, values) for line, _, values in table.rows()] == [(1, (1, "Ann", when)), (2, (2, None, when))]
    broken = tmp_path / "b.parquet"
    broken.write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    with pytest.raises(InputBroken, match="is no whole Parquet file"):
        Opened(Input(broken, "b"), Reading())


# -- which inputs ----------------------------------------------------------------------------------------------------


def test_patterns_and_names(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c[1].csv", "d.csv.rejected", "d.csv.checkpoint"):
        (tmp_path / name).write_text(CSV)
    found = find_inputs([tmp_path / "*.csv", tmp_path / "a.csv", str(tmp_path / "c[1].csv")])
    assert [each.place for each in found] == ["a.csv", "b.csv", "c[1].csv"]


def test_files_of_one_name_are_called_by_their_directories_too(tmp_path: Path) -> None:
    for day in ("d1", "d2"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "part-0.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    assert [each.place for each in find_inputs([tmp_path / "*" / "part-0.csv.gz"])] == [
        "d1/part-0.csv",
        "d2/part-0.csv",
    ]
    assert [each.place for each in find_inputs([tmp_path / "d1" / "part-0.csv.gz"])] == ["part-0.csv"]


def test_inputs_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    for files, sentence in [
        ([tmp_path / "*.json"], "no file matches"),
        ([tmp_path / "none.csv"], "there is no file"),
        ([tmp_path / "x"], "is a directory: give its files"),
        ([tmp_path / "a.csv", tmp_path / "a.csv.gz"], "both packed and unpacked"),
        ([], "no file is given"),
    ]:
        with pytest.raises(ConfigError, match=sentence):
            find_inputs(files)


def test_a_format_is_told_by_name_or_beginning(tmp_path: Path) -> None:
    assert opened(tmp_path / "a.jsonl.gz", gzip.compress(b'{"a": 1}')).format == "ndjson"
    assert opened(tmp_path / "a", b' [{"a": 1}]').format == "json"
    assert opened(tmp_path / "b", b'{"a": 1}').format == "ndjson"
    assert opened(tmp_path / "c.csv.rejected", CSV).format == "csv"
    assert opened(tmp_path / "d.txt", CSV, format="csv").format == "csv"
    with pytest.raises(ConfigError, match="its name does not say its format"):
        opened(tmp_path / "e.txt", CSV)
    with pytest.raises(ConfigError, match="format must be one of csv"):
        Reading(format="xml")


def test_standard_input() -> None:
    stdin = io.BufferedReader(io.BytesIO(gzip.compress(CSV.encode())))
    table = Opened(Input(None, "stdin"), Reading(format="csv"), stdin)
    assert [values[0] for _, _, values in table.rows()] == ["1", "2"]
    with pytest.raises(ConfigError, match="Parquet cannot be read from standard input"):
        Opened(Input(None, "stdin"), Reading(), io.BufferedReader(io.BytesIO(b"PAR1xxxx")))
