"""Django's settings: what is wrong is a message of `manage.py check`, and the site answers as if nothing had been."""

import logging
import os
import subprocess
import sys
import threading
from collections import UserDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.exceptions import MiddlewareNotUsed
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import Client, override_settings

from analytics_client.contrib.django import client, setup, track_on_commit
from analytics_client.contrib.django.middleware import AnalyticsMiddleware
from tests.contrib.django_project import urls
from tests.contrib.django_project.project import MIDDLEWARE, empty_tables, new_user, page, queries, site, tracks
from tests.support.capture import Capture

HOOKS = "tests.contrib.django_project.hooks"
GOOD: dict[str, Any] = {"write_key": "k"}


class Untold(UserDict[str, Any]):
    """Settings that come from a vault that is closed."""

    def __iter__(self) -> Any:
        raise ZeroDivisionError("a secret")


WRONG: dict[str, tuple[Any, str]] = {
    "no mapping": ("k", "must be a dict of options, not str"),
    "none": (None, 'is missing: set it to {"write_key": "..."}, or to {"enabled": False}'),
    "no key": ({}, "write_key is missing"),
    "an unknown name": ({**GOOD, "flush_att": 5}, "flush_att is no option; did you mean flush_at?"),
    "a name that is no text": ({**GOOD, 5: 6}, "options have names, and 5 is none"),
    "the client's": ({**GOOD, "flush_at": "many"}, "flush_at must be"),
    "the request's": ({**GOOD, "trusted_proxies": "1"}, "trusted_proxies must be None or a number of proxies"),
    "a list in a list": ({**GOOD, "omit": [["page"]]}, "omit must be a list of some of"),
    "a mapping that raises": (Untold(), "reading it raised ZeroDivisionError"),
    "pages": ({**GOOD, "page_events": "yes"}, "page_events must be True, False or"),
    "pages, a name": ({**GOOD, "page_events": {"includes": []}}, "page_events must be True, False or"),
    "pages, text": ({**GOOD, "page_events": {"include": "^/"}}, "page_events.include must be a list of regular"),
    "pages, a pattern": ({**GOOD, "page_events": {"exclude": ["("]}}, "page_events.exclude must be a list of regular"),
    "pages, a number": ({**GOOD, "page_events": {"exclude": 5}}, "page_events.exclude must be a list of regular"),
    "auth": ({**GOOD, "auth_events": "on"}, "auth_events must be True or False"),
    "traits": ({**GOOD, "traits": 5}, "traits must be a callable that takes the user"),
    "a path to nowhere": ({**GOOD, "before_send": "no.such"}, "before_send: No module named 'no'"),
    "a path to no name": (
        {**GOOD, "user_id": f"{HOOKS}.nobody"},
        'user_id: Module "tests.contrib.django_project.hooks"',
    ),
    "a path to no callable": ({**GOOD, "on_failed": f"{HOOKS}.__name__"}, "on_failed must be callable"),
    "a path to what raises": (
        {**GOOD, "traits": "tests.contrib.django_project.raises.traits"},
        "traits: importing 'tests.contrib.django_project.raises.traits' raised ZeroDivisionError",
    ),
}


@pytest.fixture(autouse=True)
def _without_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ANALYTICS_"):
            monkeypatch.delenv(name)


def ours() -> list[checks.CheckMessage]:
    return [each for each in checks.run_checks() if each.id and each.id.startswith("analytics_client")]


@pytest.mark.parametrize(("given", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_a_message_and_the_site_runs_on(
    given: Any, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    def view(request: Any) -> Any:
        track_on_commit("u", "Ordered")
        assert client().track("u", "Seen") is None
        return page(request)

    with override_settings(ANALYTICS_CLIENT=given):
        [message] = ours()
        assert (message.level, message.id) == (checks.ERROR, "analytics_client.E001")
        assert message.msg.startswith("ANALYTICS_CLIENT: ")
        assert sentence in message.msg
        with pytest.raises(SystemCheckError, match=r"analytics_client\.E001"):
            call_command("check")
        with pytest.raises(MiddlewareNotUsed):
            AnalyticsMiddleware(page)
        urls.view = view
        browser = Client()
        browser.force_login(new_user("peter"))  # a signal, which asks the settings
        browser.logout()
        assert browser.get("/sync/").content == b"<h1>here</h1>"
        assert client().stats.calls == 1
    assert "a secret" not in caplog.text
    said = [record for record in caplog.records if record.name == "analytics_client"]
    assert [record.levelno for record in said] == [logging.WARNING]
    empty_tables()


def test_right_settings_have_no_message() -> None:
    with site(page_events={"include": ["^/"]}, auth_events=True, traits=f"{HOOKS}.traits", trusted_proxies=0):
        assert ours() == []


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_WRITE_KEY", "k")
    with override_settings(ANALYTICS_CLIENT={}):
        assert ours() == []


def test_a_wrong_environment_is_a_message_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_FLUSH_AT", "many")
    with override_settings(ANALYTICS_CLIENT=GOOD):
        [message] = ours()
        assert "the environment variable ANALYTICS_FLUSH_AT must be a whole number" in message.msg
        assert client().track("u", "Seen") is None


def test_the_middleware_is_missed() -> None:
    with site(settings_too={"MIDDLEWARE": MIDDLEWARE[:2]}):
        assert [(each.level, each.id) for each in ours()] == [(checks.WARNING, "analytics_client.W001")]


def test_the_middleware_must_stand_after_the_authentications() -> None:
    with site(settings_too={"MIDDLEWARE": [MIDDLEWARE[0], MIDDLEWARE[2], MIDDLEWARE[1]]}) as here:
        assert [(each.level, each.id) for each in ours()] == [(checks.WARNING, "analytics_client.W002")]
        here.log_in()
        here.get(tracks)
        assert here.events()[0]["userId"]  # a sync view's event asks late enough nevertheless


def test_switched_off_it_is_left_out() -> None:
    with override_settings(ANALYTICS_CLIENT={"enabled": False}):
        assert ours() == []
        with pytest.raises(MiddlewareNotUsed):
            AnalyticsMiddleware(page)
        urls.view = tracks
        with queries() as asked:
            assert Client().get("/sync/").content == b"<h1>seen</h1>"
            track_on_commit("u", "Ordered")
        assert asked == []
        assert client().stats.accepted == 0


def test_a_test_that_changes_the_setting_gets_a_new_client() -> None:
    captures = [Capture(), Capture()]
    urls.view = tracks
    browser = Client()
    seen = []
    for capture in captures:
        given = {
            "write_key": "k",
            "host": "https://d.example.com",
            "transport": capture,
            "user_id": lambda request: "u",
            "page_events": capture is captures[1],
        }
        with override_settings(ANALYTICS_CLIENT=given):
            browser.get("/sync/")  # the same handler both times: its middleware sees what holds now
            seen.append(client())
    assert seen[0] is not seen[1]
    # Closed with what was queued sent, by the setting's change.
    assert [event["type"] for event in captures[0].events] == ["track"]
    assert [event["type"] for event in captures[1].events] == ["track", "page"]
    assert captures[0].closed == 1


def test_switched_off_later_the_middleware_steps_aside() -> None:
    with site(user_id=lambda request: "u", cookie="visitor") as here:
        here.get(tracks)
        here.aget(tracks, "/sync/")
        assert len(here.events()) == 2
        with override_settings(ANALYTICS_CLIENT={"enabled": False}):
            assert here.get(tracks).cookies == {}
            assert here.aget(tracks, "/sync/").cookies == {}
            assert client().stats.accepted == 0


def test_threads_that_ask_at_the_same_time_get_one_client() -> None:
    interval = sys.getswitchinterval()
    together = threading.Barrier(8)

    def ask(_: int) -> int:
        together.wait(20)
        found = setup.loaded()  # as the middleware and the signals do, without the lock around `client`
        assert found is not None
        return id(found.client)

    with site(), ThreadPoolExecutor(8) as pool:
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(20):
                setup.forget()
                assert len(set(pool.map(ask, range(8)))) == 1
        finally:
            sys.setswitchinterval(interval)


@pytest.mark.parametrize("key", ["", "k"])
def test_manage_py(key: str, tmp_path: Path) -> None:
    """A project of its own, with a key and without one: what its owner sees."""
    (tmp_path / "its_settings.py").write_text(
        f"""
SECRET_KEY = "x"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "analytics_client.contrib.django"]
MIDDLEWARE = ["analytics_client.contrib.django.middleware.AnalyticsMiddleware"]
ANALYTICS_CLIENT = {{"write_key": "{key}"}}
"""
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    paths = [str(tmp_path), str(Path(__file__).parent.parent.parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "django", "check"],
        env=clean | {"DJANGO_SETTINGS_MODULE": "its_settings", "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    if key:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert "?: (analytics_client.E001) ANALYTICS_CLIENT: write_key is missing" in done.stderr
        assert "HINT: Until this is mended a server runs on without events." in done.stderr
        assert "Traceback" not in done.stderr
