"""The tasks that a real Celery worker runs in tests. Each run makes an event and a line in a file, with its number.

    celery -A tests.support.celery_app worker

Broker and directory come from the environment, as do the client's key and host. The file, `runs`, is what events are
held against: Celery may run a task twice, and nobody else knows.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery

from analytics_client import Client
from analytics_client.contrib.celery import connect

analytics = Client()
app = Celery("tests", broker=f"{os.environ['TEST_REDIS']}/0", backend=f"{os.environ['TEST_REDIS']}/1")
app.conf.broker_connection_retry_on_startup = True
connect(analytics)

DIRECTORY = Path(os.environ["TEST_DIRECTORY"])


def ran(number: int, attempt: int = 0) -> int:
    """Make the event of one run, and its line; return the process it was made in."""
    assert analytics.track(event="Task Ran", properties={"n": number, "attempt": attempt}), analytics.stats
    with (DIRECTORY / "runs").open("a") as file:
        file.write(f"{number} {attempt} {os.getpid()}\n")
    return os.getpid()


@app.task(name="work")
def work(number: int, seconds: float = 0.0) -> int:
    """Run, for so long."""
    process = ran(number)
    time.sleep(seconds)
    return process


@app.task(name="again", bind=True, max_retries=2)
def again(self: Any, number: int) -> int:
    """Run three times, two of them in vain."""
    process = ran(number, self.request.retries)
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return process


@app.task(name="nested")
def nested(number: int) -> int:
    """Queue another one, which has the next number."""
    work.delay(number + 1)
    return ran(number)


@app.task(name="killed", acks_late=True, reject_on_worker_lost=True)
def killed_once(number: int) -> int:
    """Send the event, then die before the task is acknowledged; the second run does not die."""
    mark = DIRECTORY / f"killed-{number}"
    attempt = int(mark.exists())
    ran(number, attempt)
    if not attempt:
        mark.touch()
        analytics.flush(10)
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()
