import logging

import pytest

from analytics_client.notices import Notices, logger


def test_counted_each_time_and_logged_once_per_detail(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    for _ in range(3):
        notices.add("adjusted", "properties.a", "one")
        notices.add("adjusted", "properties.b", "two")
    notices.say("refused", "", "three")
    assert notices.counts() == {"adjusted": 6}
    assert [record.getMessage() for record in caplog.records] == ["one", "two", "three"]


def test_forgotten_means_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    notices.add("endpoint_fault", "503", "down")
    notices.add("other", "", "other")
    notices.forget("endpoint_fault")
    notices.add("endpoint_fault", "503", "down again")
    notices.add("other", "", "other")
    assert [record.getMessage() for record in caplog.records] == ["down", "other", "down again"]


def test_the_memory_for_details_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    for number in range(5_000):
        notices.add("adjusted", str(number), "line")
    assert notices.counts() == {"adjusted": 5_000}
    assert len(caplog.records) == 1_000


def test_a_handler_that_causes_notices_does_not_loop() -> None:
    notices = Notices()
    seen: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())
            notices.add("more", str(len(seen)), "more")

    handler = Handler()
    logger.addHandler(handler)
    try:
        notices.add("first", "", "first")
    finally:
        logger.removeHandler(handler)
    assert seen == ["first"]
    assert notices.counts() == {"first": 1, "more": 1}


def test_a_percent_sign_is_only_a_character(caplog: pytest.LogCaptureFixture) -> None:
    Notices().add("x", "", "100 %s of it")
    assert caplog.messages == ["100 %s of it"]
