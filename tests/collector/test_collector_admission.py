import base64

import pytest

from analytics_client.collector.admission import Credentials, credentials_of, framing_fault, is_loopback, judge, shown
from analytics_client.collector.exchange import Auth


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("host", ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:40001", "[::1]", "[::1]:1"])
def test_loopback_names_are_let_in(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "127.0.0.1:",
        "localhost:80:80",
        "::1",
        "0.0.0.0",
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("header", "user", "password"),
    [
        ("Basic YWJjMTIzOg==", b"abc123", b""),
        ("Basic MVhrNURDaGZKQW9sM3h0VzdxTm5LMWFwbzVwOg==", b"1Xk5DChfJAol3xtW7qNnK1apo5p", b""),
        ("basic YWJjMTIzOg==", b"abc123", b""),
        (_basic("a:b:c"), b"a", b"b:c"),
        (_basic(":"), b"", b""),
    ],
)
def test_basic_authentication_is_read(header: str, user: bytes, password: bytes) -> None:
    assert credentials_of(header) == Credentials(user, password)


@pytest.mark.parametrize("header", ["", "Basic", "Basic !", "Bearer YWJjMTIzOg==", _basic("no colon"), "Basic YWJ"])
def test_anything_else_is_no_authentication(header: str) -> None:
    assert credentials_of(header) is None


def test_any_key_will_do_unless_there_is_one() -> None:
    assert judge(None, None) is Auth.MISSING
    assert judge(Credentials(b"", b"x"), None) is Auth.MISSING
    assert judge(Credentials(b"any", b""), None) is Auth.RIGHT
    assert judge(Credentials(b"other", b""), "key") is Auth.WRONG
    assert judge(Credentials("ключ".encode(), b""), "ключ") is Auth.RIGHT


def test_the_repr_of_credentials_shows_nothing() -> None:
    assert repr(Credentials(b"key", b"word")) == "Credentials(…)"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"content-length": "5"}, None),
        ("GET", {}, None),
        ("POST", {}, 411),
        ("POST", {"transfer-encoding": "chunked"}, 411),
        ("POST", {"transfer-encoding": "chunked", "content-length": "5"}, 400),
    ],
)
def test_a_body_states_its_length_in_one_way(method: str, headers: dict[str, str], status: int | None) -> None:
    fault = framing_fault(method, headers)
    assert (fault and fault[0]) == status


def test_secrets_in_headers_are_not_shown() -> None:
    headers = {"authorization": "Basic abc", "cookie": "a=b", "proxy-authorization": "Basic abc", "sentat": "now"}
    assert shown(headers) == {
        "authorization": "Basic …",
        "cookie": "…",
        "proxy-authorization": "…",
        "sentat": "now",
    }
