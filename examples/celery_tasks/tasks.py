"""The tasks of a small shop. Their events say what happened; who it was for comes with the task.

    celery -A tasks worker --concurrency 2

The key and the collector's address come from the environment, the broker from `BROKER_URL`.
"""

import os
from typing import Any

from celery import Celery

from analytics_client import Client
from analytics_client.contrib.celery import connect

analytics = Client()
app = Celery("tasks", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.broker_connection_retry_on_startup = True

connect(analytics)  # the one line: callers and workers both load this module


@app.task(bind=True, max_retries=3)
def charge(self: Any, order: str) -> None:
    """Charge the customer; the bank is never there the first time."""
    if self.request.retries == 0:
        raise self.retry(countdown=0.2)
    analytics.track(event="Payment Charged", properties={"order": order, "attempt": self.request.retries + 1})
    send_receipt.delay(order)


@app.task
def send_receipt(order: str) -> None:
    """Send the receipt: queued by the task above, and still about the same person."""
    analytics.track(event="Receipt Sent", properties={"order": order})


@app.task
def recommend(user_id: str) -> None:
    """Queued by nobody's request, so it says whom it is about."""
    analytics.track(user_id, "Recommendation Made")
