"""Where benchmarks run: an environment of their own beside the checkout's, with the peers from the package index.

Owns `.venv-bench` and starting workers in it. Measures nothing.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-bench"
PYTHON = VENV / "bin" / "python"
HERE = Path(__file__).resolve().parent
PEERS = ("segment-analytics-python", "rudder-sdk-python", "posthog", "matplotlib")


def prepare(name: str = "peers", packages: Sequence[str] = PEERS) -> None:
    """Make the environment, and install what a benchmark compares with, each once."""
    done = VENV / (".done" if name == "peers" else f".done-{name}")
    if done.exists():
        return
    print(f"making {VENV.name}, with the {name} from the package index ...", file=sys.stderr, flush=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    quiet = ["-q", "--disable-pip-version-check"]
    subprocess.run([PYTHON, "-m", "pip", "install", *quiet, "-e", f"{ROOT}", *packages], check=True)
    done.touch()


def versions() -> dict[str, str]:
    """Return the versions of what is compared."""
    code = (
        "import importlib.metadata as m, json, platform\n"
        "names = ['segment-analytics-python', 'rudder-sdk-python', 'posthog', 'orjson', 'requests', 'urllib3']\n"
        "print(json.dumps({'Python': platform.python_version()} | {n: m.version(n) for n in names}))"
    )
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def work(script: str, **given: Any) -> dict[str, Any]:
    """Run one measurement in a process of its own; return what it found."""
    done = subprocess.run(
        [PYTHON, HERE / script, json.dumps(given)], capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{script} {given} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def sink(latency: float = 0.0) -> Iterator[str]:
    """Run the sink in a process of its own; give its URL."""
    with subprocess.Popen([PYTHON, HERE / "sink.py", str(latency)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
