"""The module-level functions: each test in a process of its own, since the default client is one per process."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server


def run(code: str, **environment: str) -> dict[str, Any]:
    """Run code in a new process; return what it puts into `result`, and its stderr."""
    whole = "import json, analytics_client\nresult = {}\n" + textwrap.dedent(code) + "\nprint(json.dumps(result))"
    done = subprocess.run(
        [sys.executable, "-c", whole], capture_output=True, text=True, timeout=30, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"stderr": done.stderr}


def test_set_call_flush(server: Server) -> None:
    result = run(f"""
        analytics_client.write_key = "abc123"
        analytics_client.host = "{server.url}"
        analytics_client.context = {{"app": {{"name": "shop"}}}}
        result["id"] = analytics_client.track("u", "E")
        result["flushed"] = analytics_client.flush()
        result["same"] = analytics_client.default_client() is analytics_client.default_client()
    """)
    [event] = server.seen[0].events
    assert event["messageId"] == result["id"]
    assert event["context"]["app"] == {"name": "shop"}
    assert result["flushed"]
    assert result["same"]
    assert result["stderr"] == ""


def test_every_call_is_there(server: Server) -> None:
    run(
        """
        analytics_client.identify("u")
        analytics_client.track("u", "E")
        analytics_client.page("u", name="n")
        analytics_client.screen("u", name="n")
        analytics_client.group("u", "g")
        analytics_client.alias("p", "u")
        analytics_client.merge("u", [{"type": "t", "value": "v"}])
        analytics_client.close()
        """,
        ANALYTICS_WRITE_KEY="k",
        ANALYTICS_DIALECT="rudderstack",
        ANALYTICS_HOST=server.url,
    )
    kinds = [event["type"] for seen in server.seen for event in seen.events]
    assert kinds == ["identify", "track", "page", "screen", "group", "alias", "merge"]


def test_a_change_after_the_first_call_is_an_error(server: Server) -> None:
    result = run(f"""
        analytics_client.write_key = "k"
        analytics_client.host = "{server.url}"
        analytics_client.track("u", "E")
        analytics_client.write_key = "k"
        for name, value in (("write_key", "other"), ("flush_at", 5)):
            try:
                setattr(analytics_client, name, value)
            except analytics_client.ConfigError as error:
                result[name] = str(error)
        result["kept"] = analytics_client.write_key
    """)
    assert result["write_key"].startswith("write_key cannot change any more")
    assert result["flush_at"].startswith("flush_at cannot change any more")
    assert result["kept"] == "k"


def test_without_a_key_it_says_so_once_and_does_nothing() -> None:
    result = run("""
        import logging
        logging.basicConfig(format="%(message)s")
        result["ids"] = [analytics_client.track("u", "E") for _ in range(3)]
        result["flushed"] = analytics_client.flush()
    """)
    assert result["ids"] == [None] * 3
    assert result["flushed"]
    assert result["stderr"] == (
        "no default client, events are not sent: write_key is missing: pass it to Client, or set ANALYTICS_WRITE_KEY\n"
    )


def test_strict_raises_what_is_wrong() -> None:
    result = run("""
        analytics_client.strict = True
        try:
            analytics_client.track("u", "E")
        except analytics_client.ConfigError as error:
            result["error"] = str(error)
    """)
    assert result["error"].startswith("write_key is missing")


def test_the_key_may_come_later(server: Server) -> None:
    result = run(f"""
        result["before"] = analytics_client.track("u", "E")
        analytics_client.write_key = "k"
        analytics_client.host = "{server.url}"
        result["after"] = analytics_client.track("u", "E")
    """)
    assert result["before"] is None
    assert result["after"]
    assert len(server.ids()) == 1


def test_two_threads_make_one_client(server: Server) -> None:
    result = run(f"""
        import threading
        analytics_client.write_key = "k"
        analytics_client.host = "{server.url}"
        made = []
        make = analytics_client.Client.__init__
        def slow(self, *args, **kwargs):
            made.append(1)
            import time
            time.sleep(0.05)
            make(self, *args, **kwargs)
        analytics_client.Client.__init__ = slow
        barrier = threading.Barrier(8)
        def work():
            barrier.wait()
            analytics_client.track("u", "E")
        threads = [threading.Thread(target=work) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        analytics_client.flush()
        result["made"] = len(made)
    """)
    assert result["made"] == 1
    assert len(set(server.ids())) == 8


def test_names_that_are_no_options_behave_as_ever() -> None:
    result = run("""
        analytics_client.something = 5
        result["something"] = analytics_client.something
        result["unset"] = analytics_client.host
        try:
            analytics_client.nothing
        except AttributeError as error:
            result["error"] = str(error)
    """)
    assert result["something"] == 5
    assert result["unset"] is None
    assert result["error"] == "module 'analytics_client' has no attribute 'nothing'"


def test_help_shows_the_real_signature() -> None:
    import inspect

    import analytics_client

    parameters = inspect.signature(analytics_client.track).parameters
    assert list(parameters) == list(inspect.signature(analytics_client.Client.track).parameters)[1:]
    assert analytics_client.track.__doc__ == analytics_client.Client.track.__doc__


def test_every_option_is_declared_for_type_checkers() -> None:
    import ast

    import analytics_client
    from analytics_client.implicit import SETTINGS

    assert analytics_client.__file__ is not None
    tree = ast.parse(Path(analytics_client.__file__).read_text())
    declared = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert declared == SETTINGS


@pytest.mark.parametrize("name", ["Client", "Request", "Response", "Transport", "Dialect", "Outcome", "Stats", "scope"])
def test_the_public_names(name: str) -> None:
    import analytics_client

    assert name in analytics_client.__all__
    assert getattr(analytics_client, name)
