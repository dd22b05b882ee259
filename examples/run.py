"""Runs one of the web examples as it would run in production, and shows what arrived.

    python3 dev.py example flask_app [--serve]

Starts the local collector and the example's servers as processes of their own, makes the example's requests over HTTP,
prints the events that came of them, ends the servers by TERM, and checks that exactly the promised events arrived.
Knows no framework: an example is a folder with a `demo.py`, whose `EXAMPLE` is an `Example`.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

HERE = Path(__file__).parent
#: Seconds that a server has to start, the events to arrive, and a server to stop.
PATIENCE = 30.0


@dataclass(frozen=True)
class Ask:
    """One HTTP request.

    Args:
        method: GET, POST ...
        path: with its query.
        headers: beside the usual ones.
        data: a form.
        browser: requests of one browser share its cookies.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] | None = None
    browser: str = "a browser"


@dataclass(frozen=True)
class Example:
    """How to run an example. In commands and values `{python}`, `{port}`, `{spare_port}`, `{directory}` are filled in.

    Args:
        servers: command lines, started in this order in the example's folder. One of them listens on `{port}`.
        asks: the requests, made one after the other.
        arrives: a part of each event that must arrive, in any order, each once; and nothing else may.
        prepare: commands that are run to their end before.
        commands: commands that are run to their end once the servers are up, where not all is done by requests.
        environment: for all of them. `{directory}` is empty, and gone afterwards.
    """

    servers: Sequence[Sequence[str]]
    asks: Sequence[Ask]
    arrives: Sequence[Mapping[str, Any]]
    prepare: Sequence[Sequence[str]] = ()
    commands: Sequence[Sequence[str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def main(arguments: list[str]) -> int:
    """Run the example that is named; with `--serve`, let it run on until Ctrl-C. Return the exit status."""
    names = sorted(path.parent.name for path in HERE.glob("*/demo.py"))
    serve = "--serve" in arguments
    chosen = [each for each in arguments if each != "--serve"]
    if len(chosen) != 1 or chosen[0] not in names:
        print(f"usage: dev.py example NAME [--serve], where NAME is one of {', '.join(names)}", file=sys.stderr)
        return 2
    folder = HERE / chosen[0]
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        collector = stack.enter_context(started_collector())
        try:
            return run(load(folder), folder, directory, collector, serve=serve)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            print(f"the example did not run: {error}", file=sys.stderr)
            return 1


def load(folder: Path) -> Example:
    """Load the `EXAMPLE` of a folder."""
    spec = importlib.util.spec_from_file_location(f"{folder.name}_demo", folder / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(HERE))  # where `from run import Example` finds this file
    spec.loader.exec_module(module)
    example: Example = module.EXAMPLE
    return example


def run(example: Example, folder: Path, directory: str, collector: str, *, serve: bool) -> int:
    """Start the servers, make the requests, stop the servers, and hold what arrived against what was promised."""
    port, spare = free_port(), free_port()
    filled = {"{python}": sys.executable, "{port}": str(port), "{spare_port}": str(spare), "{directory}": directory}
    # A client that is given neither a key nor a host takes both from the environment.
    environment = os.environ | {"ANALYTICS_WRITE_KEY": "any", "ANALYTICS_HOST": collector}
    environment |= {name: fill(value, filled) for name, value in example.environment.items()}
    for command in example.prepare:
        subprocess.run([fill(each, filled) for each in command], cwd=folder, env=environment, check=True)
    with ExitStack() as stack:
        servers = []
        for command in example.servers:
            print("$", " ".join(command).replace("{python}", "python").replace("{port}", str(port)), flush=True)
            process = subprocess.Popen([fill(each, filled) for each in command], cwd=folder, env=environment)
            stack.callback(end, process)
            servers.append(process)
        wait_for_port(port, servers[-1])
        for command in example.commands:
            print("$", " ".join(command).replace("{python}", "python"), flush=True)
            subprocess.run([fill(each, filled) for each in command], cwd=folder, env=environment, check=True)
        make(example.asks, f"http://127.0.0.1:{port}")
        if serve:
            with suppress(KeyboardInterrupt):
                where = f"the example on http://127.0.0.1:{port}/, what arrives on {collector}/events"
                print(f"\n{where}; Ctrl-C ends both", flush=True)
                servers[-1].wait()
            return 0
        wait_for_events(collector, len(example.arrives))
    # The servers have ended, and what was left in them was sent on the way out.
    return show(requests.get(f"{collector}/events", params={"limit": 1000}, timeout=PATIENCE).json(), example.arrives)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders."""
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def make(asks: Sequence[Ask], url: str) -> None:
    """Make the requests, with a jar of cookies for each browser."""
    browsers: dict[str, requests.Session] = {}
    for ask in asks:
        browser = browsers.setdefault(ask.browser, requests.Session())
        response = browser.request(
            ask.method, url + ask.path, headers=dict(ask.headers), data=ask.data, timeout=PATIENCE
        )
        print(f"{ask.browser}: {ask.method} {ask.path} -> {response.status_code}", flush=True)
    for browser in browsers.values():
        browser.close()


def wait_for_events(collector: str, count: int) -> None:
    """Wait until so many events have arrived, or it takes too long; what is missing is told later."""
    end_of_wait = time.monotonic() + PATIENCE
    while time.monotonic() < end_of_wait:
        if requests.get(f"{collector}/stats", timeout=PATIENCE).json()["unique"] >= count:
            return
        time.sleep(0.05)


def show(page: Mapping[str, Any], promised: Sequence[Mapping[str, Any]]) -> int:
    """Print the events, and whether they are those that were promised."""
    events = [each["event"] for each in page["events"]]
    print(f"\n{len(events)} events arrived:")
    for event in events:
        context = event["context"]
        print(f"  {event['type']} {event.get('event') or event.get('name') or ''}".rstrip())
        print(f"    who    userId={event.get('userId')} anonymousId={event.get('anonymousId')} ip={context.get('ip')}")
        print(f"    where  {context.get('page', {}).get('url')} campaign={context.get('campaign')}")
    left = list(events)
    missing = []
    for part in promised:
        found = next((event for event in left if holds(event, part)), None)
        if found is None:
            missing.append(part)
        else:
            left.remove(found)
    copied = [each["id"] for each in page["events"] if each["copies"] > 1]
    for part in missing:
        print(f"NOT arrived: {dict(part)}")
    for event in left:
        print(f"NOT promised: {event}")
    for each in copied:
        print(f"sent again: {each}")
    if missing or left or copied:
        return 1
    print("exactly the promised ones, once each")
    return 0


def holds(whole: Any, part: Any) -> bool:
    """Whether `part` is in `whole`, at any depth; None there means that the key is missing."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(holds(whole.get(name), value) for name, value in part.items())
    return bool(whole == part)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server lets connections in.

    Raises:
        RuntimeError: it has ended instead, or takes too long.
    """
    end_of_wait = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end_of_wait:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not start; its own words are above")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a server as a deployment does: by TERM, and only then by force."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def started_collector() -> Iterator[str]:
    """Run the local collector in a process of its own; give its URL."""
    command = [sys.executable, "-m", "analytics_client.cli", "collector", "--port", "0"]
    # A Ctrl-C in the terminal is for the example; the collector is ended after it.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if " on " not in line:
                raise RuntimeError("the collector did not start; its own words are above")
            yield line.split(" on ")[1].split()[0]
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
