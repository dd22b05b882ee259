"""The application over real sockets: ingest, what can be looked at, and who may."""

import asyncio
import base64
import gzip
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.types import Message, Receive, Scope, Send

from analytics_client.collector import Collector, Settings, create_app
from analytics_client.collector.app import Guard
from analytics_client.collector.intake import Intake

KEY = ("key", "")
EVENT = {"type": "track", "userId": "u", "event": "e", "messageId": "m"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Collector]:
    """A collector for tests that do not look at counts."""
    with Collector() as collector:
        yield collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def _post(collector: Collector, path: str, document: Any = None, **options: Any) -> requests.Response:
    if document is not None:
        options["json"] = document
    return requests.post(collector.url + path, **{"auth": KEY, "timeout": 10, **options})


def _get(collector: Collector, path: str, **options: Any) -> requests.Response:
    return requests.get(collector.url + path, timeout=10, **options)


def test_events_arrive_and_can_be_seen(collector: Collector) -> None:
    batch = {"batch": [EVENT, {**EVENT, "messageId": "n", "userId": 5}], "context": {"ip": "1.2.3.4"}}
    assert _post(collector, "/v1/batch", batch).json() == {"success": True}
    assert _post(collector, "/v1/batch", batch).status_code == 200
    assert _post(collector, "/track", {"hitId": "h", "event": {"user": {"userId": "u"}}}).status_code == 204
    stats = _get(collector, "/stats").json()
    assert stats == collector.stats()
    assert {name: stats[name] for name in ("service", "requests", "arrived", "unique", "duplicates", "differing")} == {
        "service": "segment",
        "requests": 3,
        "arrived": 5,
        "unique": 3,
        "duplicates": 2,
        "differing": 0,
    }
    assert (stats["statuses"], stats["by_type"], stats["by_rule"]) == (
        {"200": 2, "204": 1},
        {"track": 3},
        {"ids.text": 2},
    )
    found = _get(collector, "/events").json()
    assert found == {"total": 3, "events": collector.events()}
    first, second, third = found["events"]
    assert first["event"] == {**EVENT, "context": {"ip": "1.2.3.4"}}
    assert (first["copies"], third["service"], third["copies"]) == (2, "segmentstream", 1)
    assert [violation["path"] for violation in second["violations"]] == ["$.userId"]


def test_a_copy_that_differs_is_noticed(collector: Collector) -> None:
    for document in (EVENT, {**EVENT, "sentAt": "2022-02-01T19:14:18.381Z"}, {**EVENT, "event": "other"}):
        _post(collector, "/v1/track", document)
    assert (collector.stats()["duplicates"], collector.stats()["differing"]) == (2, 1)


def test_every_digit_is_seen(collector: Collector) -> None:
    body = b'{"userId":"u","event":"e","properties":{"a":18446744073709551616,"b":1%s}}' % (b"0" * 5_000)
    _post(collector, "/v1/track", data=body, headers={"Content-Type": "application/json"})
    assert b"18446744073709551616" in _get(collector, "/events").content
    [event] = collector.events()
    assert event["event"]["properties"]["a"] == 2**64
    assert len(str(event["event"]["properties"]["b"])) == 5_001


def test_events_can_be_filtered_and_paged(collector: Collector) -> None:
    batch = [{"type": "page" if n % 5 == 0 else "track", "event": "e", "userId": f"u{n % 2}"} for n in range(1_050)]
    _post(collector, "/v1/batch", {"batch": batch})
    assert [len(_get(collector, f"/events{query}").json()["events"]) for query in ("", "?limit=0", "?limit=250")] == [
        100,
        0,
        250,
    ]
    beyond = _get(collector, "/events?limit=250&offset=5").json()["events"]
    assert beyond == collector.events(limit=250, offset=5)
    most = _get(collector, "/events?limit=99999").json()
    assert (most["total"], len(most["events"])) == (1_050, 1_000)
    some = _get(collector, "/events?limit=150&offset=5&type=page&user_id=u0").json()
    assert (some["total"], len(some["events"])) == (105, 100)
    assert len({event["id"] for event in some["events"]}) == 100
    assert len(collector.events()) == 1_050
    assert len(collector.events(limit=3, type="page", user_id="u1", offset=104)) == 1
    newest = _get(collector, "/events?order=newest&limit=150").json()["events"]
    assert newest == collector.events()[:-151:-1]


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=-1", "offset=1.5", "limit=²", "order=random", "offset=99999999999"]
)
def test_a_bad_query_is_refused(shared: Collector, query: str) -> None:
    assert _get(shared, f"/events?{query}").status_code == 400


@pytest.mark.parametrize("path", ["/stats", "/events", "/requests", "/events?limit=x"])
def test_what_is_read_cannot_be_cached_sniffed_or_framed(shared: Collector, path: str) -> None:
    headers = _get(shared, path, headers={"Origin": "https://example.com"}).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    assert "Access-Control-Allow-Origin" not in headers
    assert "Server" not in headers


@pytest.mark.parametrize("path", ["/stats", "/v1/track"])
@pytest.mark.parametrize("host", ["example.com", "localhost.example.com:80", "127.0.0.2", ""])
def test_other_hosts_are_refused(shared: Collector, path: str, host: str) -> None:
    before = shared.stats()["requests"]
    response = requests.request(
        "POST" if path != "/stats" else "GET", shared.url + path, headers={"Host": host}, timeout=10
    )
    assert (response.status_code, response.headers["Connection"]) == (403, "close")
    assert shared.stats()["requests"] == before


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:65535", "[::1]:80"])
def test_loopback_hosts_are_welcome(shared: Collector, host: str) -> None:
    assert _get(shared, "/stats", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("POST", "/stats"), ("DELETE", "/events"), ("OPTIONS", "/v1/track")])
def test_wrong_methods_are_refused(shared: Collector, method: str, path: str) -> None:
    response = requests.request(method, shared.url + path, timeout=10)
    assert response.status_code == 405
    assert "Access-Control-Allow-Origin" not in response.headers


def test_keys() -> None:
    with Collector("rudderstack", write_key="right") as collector:
        assert _post(collector, "/v1/track", EVENT, auth=("right", "any password")).text == "ok"
        assert _post(collector, "/v1/track", EVENT, auth=("wrong", "")).text == "invalid write key\n"
        assert _post(collector, "/v1/track", EVENT, auth=None).text == "failed to read writekey from header\n"
        assert _post(collector, "/track", {}, auth=("wrong", "")).status_code == 401
        assert collector.stats()["statuses"] == {"200": 1, "401": 3}


def test_no_key_is_ever_shown_kept_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = "SECRETKEY1234567890"
    with Collector(write_key=key, db=tmp_path / "events.db", fault="ok,503,ok,drop-after,ok") as collector:
        for auth in ((key, ""), (key, key), (key[:-1], "")):
            _post(collector, "/v1/batch", {"batch": [{**EVENT, "writeKey": key}], "writeKey": key}, auth=auth)
            _post(collector, f"/v1/track?writeKey={key}", {"writeKey": key, "userId": 5}, auth=auth)
        shown = [_get(collector, path).text for path in ("/stats", "/events", "/requests")]
        shown += [repr(collector), repr(collector.settings), json.dumps(collector.requests(), ensure_ascii=False)]
        assert collector.stats()["arrived"] == 3
    # The sender's own library logs its addresses; what counts is what is logged here.
    shown += [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    shown += [path.read_bytes().decode("latin-1") for path in tmp_path.iterdir()]
    coded = base64.b64encode(f"{key}:".encode()).decode()
    for text in shown:
        assert key[:-1] not in text
        assert coded[:20] not in text
    assert '"authorization": "Basic …"' in shown[5]


def test_requests_are_remembered_with_their_headers(collector: Collector) -> None:
    collector.fault("503")
    for number in range(3):
        _post(collector, "/v1/track", EVENT, headers={"AnonymousId": str(number), "sentAt": "now"})
    first, second, third = _get(collector, "/requests").json()["requests"]
    assert (first["status"], first["fault"], first["events"]) == (503, "503", 0)
    assert (second["status"], second["fault"], second["events"]) == (200, "", 1)
    assert (third["method"], third["path"], third["bytes"]) == ("POST", "/v1/track", len(json.dumps(EVENT)))
    assert (third["headers"]["anonymousid"], third["headers"]["sentat"]) == ("2", "now")
    assert len(_get(collector, "/requests?limit=2").json()["requests"]) == len(collector.requests(limit=2)) == 2
    assert collector.requests(limit=0) == []


def test_only_the_last_thousand_requests_are_remembered(collector: Collector) -> None:
    with requests.Session() as session:
        for number in range(1_005):
            session.post(f"{collector.url}/v1/nothing/{number}", data=b"", timeout=10)
    remembered = collector.requests()
    assert (len(remembered), remembered[0]["path"], remembered[-1]["path"]) == (
        1_000,
        "/v1/nothing/5",
        "/v1/nothing/1004",
    )
    assert remembered[0]["violations"][0]["rule"] == "request.path"
    assert collector.stats()["requests"] == 1_005


# --- bodies ---


def test_gzip_is_unpacked_and_counted_as_on_the_wire(collector: Collector) -> None:
    body = gzip.compress(json.dumps({"batch": [EVENT] * 50}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert _post(collector, "/v1/batch", data=body, headers=headers).status_code == 200
    assert (collector.stats()["arrived"], collector.stats()["bytes"]) == (50, len(body))


@pytest.mark.parametrize(
    ("service", "path", "status", "text"),
    [
        ("segment", "/v1/batch", 400, "not gzip"),
        ("rudderstack", "/v1/batch", 500, "failed to read body from request\n"),
        ("rudderstack", "/track", 400, "not valid JSON"),
    ],
)
def test_bad_gzip(service: str, path: str, status: int, text: str) -> None:
    with Collector(service) as collector:
        response = _post(collector, path, data=b"no gzip", headers={"Content-Encoding": "gzip"})
        assert response.status_code == status
        assert text in response.text


def test_another_encoding_is_not_unpacked() -> None:
    with Collector("rudderstack") as collector:
        body = gzip.compress(json.dumps(EVENT).encode())
        response = _post(collector, "/v1/track", data=body, headers={"Content-Encoding": "deflate"})
        assert (response.status_code, response.text) == (400, "invalid json\n")


@pytest.fixture(scope="module")
def bomb() -> bytes:
    return gzip.compress(bytes(256 * 1024 * 1024))


@pytest.mark.parametrize(("service", "status"), [("segment", 400), ("rudderstack", 413), ("strict", 400)])
def test_a_gzip_bomb_is_too_large(service: str, status: int, bomb: bytes) -> None:
    with Collector(service) as collector:
        assert _post(collector, "/v1/batch", data=bomb, headers={"Content-Encoding": "gzip"}).status_code == status
        assert collector.stats()["by_rule"]["request.size"] == 1


@pytest.mark.parametrize(("service", "status"), [("segment", 400), ("rudderstack", 413)])
def test_a_body_beyond_the_limit_is_read_to_its_end_and_refused(service: str, status: int) -> None:
    with Collector(service) as collector:
        body = b'{"batch":[' + b" " * 20_000_000 + b"]}"
        response = _post(collector, "/v1/batch", data=body)
        assert response.status_code == status
        assert collector.stats()["bytes"] == len(body)


@pytest.mark.parametrize(
    "body", [b"[" * 400_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b'{"userId":"\xff\xfe"}', b"\x00\x01", b'"\\ud8'],
    ids=["deep list", "deep object", "not UTF-8", "binary", "broken escape"],
)  # fmt: skip
@pytest.mark.parametrize("service", ["segment", "rudderstack", "strict"])
def test_hostile_bodies_are_refused(service: str, body: bytes) -> None:
    with Collector(service) as collector:
        assert _post(collector, "/v1/batch", data=body).status_code == 400
        assert _post(collector, "/v1/batch", data=body, headers={"Content-Type": "application/json"}).status_code == 400
        assert _post(collector, "/v1/track", EVENT).status_code == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], b"411"),
        (["Transfer-Encoding: chunked"], b"411"),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], b"400"),
    ],
)
def test_a_length_is_needed(
    shared: Collector, talk: Callable[[str, bytes], tuple[bytes, str]], lines: list[str], status: bytes
) -> None:
    head = "\r\n".join(["POST /v1/track HTTP/1.1", "Host: localhost", "Authorization: Basic a2V5Og==", *lines, "", ""])
    received, end = talk(shared.url, head.encode() + (b"2\r\n{}\r\n0\r\n\r\n" if lines else b""))
    assert received.startswith(b"HTTP/1.1 " + status)
    assert end == "closed"


def test_what_is_no_http_is_refused(shared: Collector, talk: Callable[[str, bytes], tuple[bytes, str]]) -> None:
    assert talk(shared.url, b"hello\r\n\r\n")[0].startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(("size", "statuses"), [(16_000, [b"200"]), (17_000, [b"431"]), (100_000, [b"400", b"431"])])
def test_headers_are_bounded(
    shared: Collector, talk: Callable[[str, bytes], tuple[bytes, str]], size: int, statuses: list[bytes]
) -> None:
    # Long ones come in pieces, or not: they are refused by the HTTP library, or by us.
    head = b"GET /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + b"x" * size + b"\r\n\r\n"
    assert talk(shared.url, head)[0][9:12] in statuses


def test_half_a_body_counts_for_nothing(
    collector: Collector, connect: Callable[[str], socket.socket], raw_request: Callable[..., bytes]
) -> None:
    with connect(collector.url) as connection:
        connection.sendall(raw_request("/v1/track", b'{"userId":"u"}')[:-3])
    assert _post(collector, "/v1/track", EVENT).status_code == 200
    assert collector.stats()["requests"] == 1


# --- trouble of our own ---


def test_a_full_disk_is_503_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    large = [{**EVENT, "messageId": str(n), "event": "SECRET" + "x" * 20_000} for n in range(20)]
    with Collector(db=tmp_path / "events.db") as collector:

        def set_pages(intake: Intake, number: int) -> None:
            intake.store._db.execute(f"PRAGMA max_page_count = {number}")

        assert _post(collector, "/v1/track", EVENT).status_code == 200
        collector._run().ask(lambda intake: set_pages(intake, 15))
        refused = [_post(collector, "/v1/batch", {"batch": large}) for _ in range(3)]
        assert [response.status_code for response in refused] == [503, 503, 503]
        assert "full" in refused[0].text
        collector._run().ask(lambda intake: set_pages(intake, 1_000_000))
        assert _post(collector, "/v1/batch", {"batch": large}).status_code == 200
        assert collector.stats()["statuses"] == {"200": 2, "503": 3}
        assert collector.stats()["unique"] == 21
    assert caplog.text.count("cannot write its database") == 1
    assert "SECRET" not in caplog.text


def test_a_bug_of_ours_is_500_and_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("SECRET")

    monkeypatch.setattr("analytics_client.collector.services.decide", broken)
    with Collector() as collector:
        response = _post(collector, "/v1/track", EVENT)
        assert (response.status_code, response.text) == (500, "The collector failed.\n")
    assert "ZeroDivisionError" in caplog.text
    assert "SECRET" not in caplog.text


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(Guard(broken)(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start"]


def test_the_database_is_opened_with_the_app(tmp_path: Path) -> None:
    app = create_app(Settings(db=tmp_path / "events.db"))
    assert (tmp_path / "events.db").exists()
    app.state.intake.store.close()
