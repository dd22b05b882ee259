"""Python code in a process of its own: what it printed, how it ended, how long it took."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    status: int
    out: str
    err: str
    seconds: float


def start(
    code: str,
    *,
    python: str = sys.executable,
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[str]":
    """Start a process that runs `code`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    return subprocess.Popen(
        [python, *options, "-c", textwrap.dedent(code)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean | {"PYTHONPATH": str(ROOT)} | dict(environment or {}),
    )


def run(
    code: str,
    *,
    timeout: float = 50,
    python: str = sys.executable,
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run `code` to its end; after `timeout` seconds it is killed and the test fails."""
    started = time.monotonic()
    with start(code, python=python, options=options, environment=environment) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"still running after {timeout} s\n{out}\n{err}") from None
    return Ended(process.returncode, out, err, time.monotonic() - started)
