"""Every unit test of Django's part against the older Django that is still cared for, installed for the occasion."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

UNIT_TESTS = ["test_django_requests.py", "test_django_settings.py", "test_django_events.py"]


@pytest.mark.parametrize("version", ["4.2"])
def test_against(version: str, tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(tmp_path)]
    subprocess.run([*install, f"django=={version}.*"], check=True, timeout=200)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    seen = subprocess.run(
        [sys.executable, "-c", "import django; print(django.__version__)"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert seen.stdout.startswith(f"{version}.")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(str(ROOT / "tests" / "contrib" / name) for name in UNIT_TESTS)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 130, done.stdout
