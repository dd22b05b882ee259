"""The exact bytes of each call on each dialect, batched and alone: they change on purpose or not at all.

When one changes on purpose, write what the failing test shows into `golden.json`, and look at it twice.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from analytics_client import Client, __version__
from tests.support.capture import Capture, captured, fixed

GOLDEN = Path(__file__).with_name("golden.json")


def identify(client: Client) -> None:
    client.identify("u-1", {"email": "pgibbons@example.com"}, context={"ip": "24.5.68.47"})


def track(client: Client) -> None:
    client.track("u-1", "Item Purchased", {"title": "Mat", "revenue": 14.99}, anonymous_id="a-1")


def page(client: Client) -> None:
    client.page("u-1", "Docs", "Tracking HTTP API", {"path": "/docs"})


def screen(client: Client) -> None:
    client.screen(anonymous_id="a-1", name="Home", timestamp="2015-2-02T00:30:08.276Z")


def group(client: Client) -> None:
    client.group("u-1", "g-1", {"employees": 420}, integrations={"All": False, "Mixpanel": True})


def alias(client: Client) -> None:
    client.alias("old-id", "u-1", message_id="mine")


def merge(client: Client) -> None:
    client.merge("u-1", [{"type": "email", "value": "alex@example.com"}])


CALLS = [identify, track, page, screen, group, alias, merge]


def sent(dialect: str, batch: bool, call: Any) -> tuple[str, str, dict[str, str]]:
    client, capture = captured(dialect=dialect, batch=batch)
    with fixed(client):
        call(client)
        assert client.flush(5)
    [request] = capture.requests
    return request.url, request.body.decode(), dict(request.headers)


@pytest.mark.parametrize(
    ("dialect", "batch", "call"),
    [
        pytest.param(dialect, batch, call, id=f"{dialect}-{'batch' if batch else 'single'}-{call.__name__}")
        for dialect in ("segment", "rudderstack", "segmentstream")
        for batch in (True, False)
        for call in CALLS
        if call is not merge or dialect == "rudderstack"
    ],
)
def test_golden_bytes(dialect: str, batch: bool, call: Any) -> None:
    expected = json.loads(GOLDEN.read_text())[f"{dialect}/{'batch' if batch else 'single'}/{call.__name__}"]
    url, body, headers = sent(dialect, batch, call)
    assert url == "https://d.example.com" + expected["path"]
    assert body == expected["body"].replace("VERSION", __version__)
    assert json.loads(body)
    assert headers.pop("Authorization") == "Basic a2V5Og=="
    assert headers.pop("User-Agent").startswith("analytics-client-python/")
    assert headers == {"Content-Type": "application/json", **expected["headers"]}


def test_the_vendors_own_examples_of_authorization() -> None:
    for key, header in (
        ("abc123", "Basic YWJjMTIzOg=="),
        ("1Xk5DChfJAol3xtW7qNnK1apo5p", "Basic MVhrNURDaGZKQW9sM3h0VzdxTm5LMWFwbzVwOg=="),
    ):
        capture = Capture()
        with Client(key, transport=capture) as client:
            client.track("u", "E")
        assert capture.requests[0].headers["Authorization"] == header
