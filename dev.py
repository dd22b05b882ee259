#!/usr/bin/env python3
"""What a developer does with a checkout, a word each: `python3 dev.py demo`, `example`, `test`, `lint`, `docs`, `ci`...

Needs only Python: each command first makes the virtual environment `.venv` beside this file and installs what it wants,
once. Owns no knowledge of the package itself.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")


def main(arguments: list[str]) -> int:
    """Run one command; what follows it goes to the tool behind it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts this may have any Python
        print(f"analytics_client needs Python 3.11 or later, and this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        print(__doc__, file=sys.stderr)
        return 2
    return command(arguments[1:])


def demo(arguments: list[str]) -> int:
    """Send real reviews through the client into a local collector, and show what arrived."""
    install("cli", "collector")
    return run(BIN / "analytics-client", "demo", *arguments)


def example(arguments: list[str]) -> int:
    """Run an example application under its real server, and show what arrived; without a name, say which there are."""
    install("examples")
    return run(PYTHON, "examples/run.py", *arguments)


def test(arguments: list[str]) -> int:
    """Run the tests; arguments are pytest's."""
    install("test", *(["spark"] if "" in arguments else []))  # `-m ""`: the heavy tier
    return run(PYTHON, "-m", "pytest", *arguments)


def lint(arguments: list[str]) -> int:
    """Check style and form."""
    install("test", "lint")
    return run(BIN / "ruff", "check", *arguments) or run(BIN / "ruff", "format", "--check", *arguments)


def types(arguments: list[str]) -> int:
    """Check types, strictly."""
    install("test", "lint")
    return run(PYTHON, "-m", "mypy", *arguments)


def docs(arguments: list[str]) -> int:
    """Build the documentation into docs/_build; a warning is an error."""
    install("docs")
    return run(PYTHON, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", "docs/_build", *arguments)


def ci(arguments: list[str]) -> int:
    """Do all of the above; `full` adds the heavy tier of the tests."""
    os.environ.setdefault("CI", "1")  # tests may install the servers they need, where this is root's machine
    tier = ["-m", ""] if "full" in arguments else []
    steps: list[tuple[str, Callable[[list[str]], int], list[str]]] = [
        ("lint", lint, []),
        ("types", types, []),
        ("tests", test, tier),
        ("docs", docs, []),
        ("demo", demo, ["--rows", "500"]),
    ]
    for name, step, given in steps:
        print(f"== {name}", flush=True)
        if status := step(given):
            print(f"== {name} failed", flush=True)
            return status
    print("== all passed", flush=True)
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "demo": demo,
    "example": example,
    "test": test,
    "lint": lint,
    "types": types,
    "docs": docs,
    "ci": ci,
}


def install(*extras: str) -> None:
    """Make the environment, and install the package with these extras, unless that was done already."""
    if not PYTHON.exists():
        make_environment()
    state = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    for extra in extras:
        done = VENV / f".{extra}-{state[:16]}"
        if not done.exists():
            print(f"installing analytics_client[{extra}] into {VENV.name} ...", file=sys.stderr, flush=True)
            quiet = ["-q", "--disable-pip-version-check"]
            subprocess.run([PYTHON, "-m", "pip", "install", *quiet, "-e", f".[{extra}]"], cwd=ROOT, check=True)
            done.touch()


def make_environment() -> None:
    """Make `.venv`, with the standard library or, where a distribution has cut that short, with virtualenv."""
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "virtualenv", "-q", VENV], check=False).returncode:
        print(made.stdout + made.stderr, file=sys.stderr)
        print("no virtual environment can be made: install your system's venv package", file=sys.stderr)
        raise SystemExit(2)


def run(*command: str | Path) -> int:
    """Run a command in the checkout, and return its status."""
    return subprocess.run(list(map(str, command)), cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
