import gzip
import json
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client.collector.decode import (
    BadGzipError,
    NotJsonError,
    TooLargeError,
    dump,
    inflate,
    is_deeper,
    load,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


@given(json_values, st.booleans())
def test_what_is_read_is_what_was_written(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    document, has_halves = load(body)
    assert json.loads(dump(document)) == value
    assert not has_halves


@given(json_values)
def test_depth_is_counted_as_a_parser_counts_it(value: Any) -> None:
    depth = _depth(value)
    body = json.dumps(value).encode()
    assert not is_deeper(body, depth)
    assert depth == 0 or is_deeper(body, depth - 1)


@pytest.mark.parametrize(
    "number",
    [
        "18446744073709551616",
        "9007199254740993",
        "-" + "9" * 40,
        "1" + "0" * 5000,
        "0.1000000000000000055511151231257827",
    ],
)
def test_every_digit_survives(number: str) -> None:
    document, _ = load(b'{"n":%s}' % number.encode())
    assert dump(document) == b'{"n":%s}' % number.encode()


def test_a_number_too_large_for_a_float_is_json() -> None:
    assert load(b"[1e400]")[0] == [Decimal("1e400")]


@pytest.mark.parametrize("path", [b"", b"000000000000000000"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b'"\xff"',
        b"\xff\xfe{}",
        b'["\x01"]',
        b"[1,]",
        b"\xef\xbb\xbf[]",
    ],
)
def test_what_is_no_json_is_refused(body: bytes, path: bytes) -> None:
    # The second path makes the number long, which takes the slow way.
    with pytest.raises(NotJsonError):
        load(body + path)


def test_an_absurd_exponent_is_refused_not_raised() -> None:
    with pytest.raises(NotJsonError):
        load(b"[1e99999999999999999999999]")


def test_halves_of_surrogate_pairs_are_replaced_and_reported() -> None:
    assert load(rb'{"a":"\ud83d\ude00","b":"x\ud800y","c":"\\ud800","d":"\udc00"}') == (
        {"a": "😀", "b": "x\ufffdy", "c": "\\ud800", "d": "\ufffd"},
        True,
    )
    assert load(rb'{"a":"\ud83d\ude00","c":"\\ud800"}')[1] is False


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_capped_before_parsing(opening: bytes, closing: bytes) -> None:
    document, _ = load(opening * 254 + b"1" + closing * 254)
    assert dump(document)
    with pytest.raises(NotJsonError):
        load(opening * 255 + b"1" + closing * 255)
    with pytest.raises(NotJsonError):
        load(opening * 1_000_000)


def test_brackets_in_texts_do_not_count() -> None:
    body = json.dumps({"a": "[" * 1000 + '\\"' + "{" * 1000, "b]": ['"[']}).encode()
    assert load(body)[0]["b]"] == ['"[']


def test_broken_texts_do_not_take_long() -> None:
    # A search that started again at every quote would take hours for this.
    with pytest.raises(NotJsonError):
        load(b"[" * 300 + b'"' + b'\\"' * 2_000_000)


@given(st.binary(max_size=5_000))
def test_gzip_is_unpacked(data: bytes) -> None:
    assert inflate(gzip.compress(data), 5_000) == data


def test_the_limit_is_exact() -> None:
    assert len(inflate(gzip.compress(b"x" * 1000), 1000)) == 1000
    with pytest.raises(TooLargeError):
        inflate(gzip.compress(b"x" * 1001), 1000)


def test_a_bomb_takes_no_memory() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        inflate(bomb, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize(
    "data", [b"", b"no gzip", gzip.compress(b"x" * 100)[:-1], gzip.compress(b"x") + b"more", gzip.compress(b"x")[:5]]
)
def test_bad_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(BadGzipError):
        inflate(data, 1000)
