"""The browser SDKs' cookies in every form they are written in; what cannot be read is no id, and nothing raises."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client.contrib.cookies import ANONYMOUS_ID_COOKIES, cookie, first_id, id_in

ID = "0d7c0bc1-2d4e-4a3c-9a6f-1f2e3d4c5b6a"


def rudderstack(value: object) -> str:
    """RudderStack's SDK (v3): JSON, in base64, behind a mark."""
    return "RS_ENC_v3_" + base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "raw",
    [
        ID,
        f'"{ID}"',
        f"%22{ID}%22",
        quote(ID, safe=""),
        rudderstack(ID),
        quote(rudderstack(ID), safe=""),
        rudderstack(ID).rstrip("="),
        f" {ID} ",
    ],
)
def test_every_form_of_an_id(raw: str) -> None:
    assert id_in(raw) == ID


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "   ",
        "null",
        "undefined",
        "%22%22",
        '""',
        '"open',
        '"a" "b"',
        '"\\ud800"',
        '"line\\nbreak"',
        "a%00b",
        "%ff%fe",
        "a\N{REPLACEMENT CHARACTER}b",
        "{}",
        '["a"]',
        "RudderEncrypt:U2FsdGVkX1%2Bv",
        "RS_ENC_v3_",
        "RS_ENC_v3_***",
        "RS_ENC_v3_//4=",  # base64, but not of UTF-8
        rudderstack(""),
        rudderstack(None),
        rudderstack({"a": 1}),
        rudderstack([ID]),
        "x" * 201,
        "x" * 65_536,
        quote('"' + "[" * 2_000 + '"'),
    ],
)
def test_what_is_no_id(raw: str) -> None:
    assert id_in(raw) is None


def test_ids_need_not_be_ascii() -> None:
    assert id_in(quote("josé")) == "josé"
    assert id_in(rudderstack("josé")) == "josé"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("", None),
        ("a=1", None),
        ("name", None),
        ("name=1", "1"),
        ("a=2; name=1; b=3", "1"),
        ("a=2;name=1", "1"),
        ("xname=2; name=1", "1"),
        ("name2=2; name=1", "1"),
        ("a=name=2; name=1", "1"),
        ("name=1; name=2", "1"),
        ("name=a=b", "a=b"),
        (" name = 1 ;", "1"),
        ("name=", ""),
        (";;;=;name", None),
    ],
)
def test_a_cookie_of_a_header(header: str, value: str | None) -> None:
    assert cookie(header, "name") == value


def test_a_name_is_no_pattern() -> None:
    assert cookie("axb=1", "a.b") is None
    assert cookie("a.b=1", "a.b") == "1"


def test_the_first_cookie_that_can_be_read() -> None:
    header = f"rl_anonymous_id={rudderstack('r')}; ajs_anonymous_id=%22s%22"
    assert first_id(header, ANONYMOUS_ID_COOKIES) == "s"
    assert first_id(f"ajs_anonymous_id=%ff; rl_anonymous_id={rudderstack('r')}", ANONYMOUS_ID_COOKIES) == "r"
    assert first_id("other=1", ANONYMOUS_ID_COOKIES) is None


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=200))
def test_an_id_comes_through_every_encoding(text: str) -> None:
    found = id_in(rudderstack(text))
    if found is None:
        unreadable = text.strip() in ("", "null", "undefined") or "\N{REPLACEMENT CHARACTER}" in text
        assert unreadable or text.strip()[0] in "[{" or not text.isprintable()
    else:
        assert found == text.strip()
        assert id_in(quote(json.dumps(text))) in (found, None)  # None where the escapes are too long


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_whatever_comes_nothing_raises(text: str) -> None:
    for value in (text, quote(text, errors="replace"), f'"{text}', f"RS_ENC_v3_{text}"):
        found = id_in(value)
        assert found is None or (0 < len(found) <= 200 and found.isprintable())
    for header in (text, f"ajs_anonymous_id={text}", f"{text};ajs_anonymous_id=1"):
        first_id(header, ANONYMOUS_ID_COOKIES)


@pytest.mark.parametrize("piece", [";", " ", "=", "; ajs_anonymous_id", ";ajs_anonymous_id ", "%25", "RS_ENC_v3_"])
@pytest.mark.timeout(5)  # it takes milliseconds; what backtracks takes minutes
def test_64_kilobytes_of_anything(piece: str) -> None:
    header = piece * (65_536 // len(piece))
    assert cookie(header, "ajs_anonymous_id") is None
    assert cookie(f"{header};ajs_anonymous_id=1", "ajs_anonymous_id") == "1"
    assert id_in(header) is None
