from typing import Any

import pytest

from analytics_client.collector import SERVICES, Settings


def test_defaults() -> None:
    settings = Settings()
    assert (settings.service, settings.host, settings.port, settings.write_key) == ("segment", "127.0.0.1", 0, None)
    assert (settings.keep, settings.keep_bytes) == (100_000, 64 * 1024 * 1024)
    assert (settings.max_connections, settings.request_timeout) == (32, 10.0)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_taken(service: str) -> None:
    assert Settings(service=service).service == service


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"service": "mixpanel"}, "segment, rudderstack"),
        ({"host": "0.0.0.0"}, "127.0.0.1 or ::1"),
        ({"host": "localhost"}, "127.0.0.1 or ::1"),
        ({"host": "192.168.1.7"}, "personal data"),
        ({"port": -1}, "port"),
        ({"port": 65_536}, "port"),
        ({"write_key": ""}, "write_key"),
        ({"latency": -0.1}, "latency"),
        ({"latency": float("nan")}, "latency"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"request_timeout": float("inf")}, "request_timeout"),
        ({"keep": 0}, "keep"),
        ({"keep_bytes": 0}, "keep_bytes"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
        ({"max_connections": 0}, "max_connections"),
        ({"fault": "boom"}, "step 1"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(**options)


def test_the_repr_shows_no_key() -> None:
    assert "SECRET" not in repr(Settings(write_key="SECRET"))
