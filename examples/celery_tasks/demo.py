"""What `dev.py example celery_tasks` does: a broker, a worker with two processes, and a shop that queues tasks."""

from run import Example

ORDERS = {
    "anna": ("order-0", {"ip": "192.0.2.1", "page": {"path": "/checkout"}}),
    "bob": ("order-1", {"ip": "192.0.2.2", "page": {"path": "/buy-now"}}),
}

EXAMPLE = Example(
    prepare=[["{python}", "broker.py", "--check"]],
    servers=[
        ["{python}", "broker.py", "{port}"],
        ["{python}", "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2", "--loglevel", "warning"],
    ],
    commands=[["{python}", "shop.py"]],
    asks=[],
    environment={"BROKER_URL": "redis://127.0.0.1:{port}/0"},
    arrives=[
        {"event": event, "userId": customer, "properties": {"order": order}, "context": context}
        for customer, (order, context) in ORDERS.items()
        for event in ("Order Placed", "Payment Charged", "Receipt Sent")
    ]
    + [{"event": "Recommendation Made", "userId": "carol", "context": {"ip": None, "page": None}}],
)
