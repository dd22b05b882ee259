"""What `dev.py example django_shop` does: Anna looks at an article; Bob buys one, and cannot pay for another."""

from run import Example

ANNA = {"anonymousId": "anna-in-the-browser", "userId": None}
BOB = {"userId": "1"}


def on(path: str) -> dict[str, object]:
    return {"page": {"path": path}}


EXAMPLE = Example(
    prepare=[
        ["{python}", "manage.py", "migrate", "--run-syncdb", "-v", "0"],
        ["{python}", "manage.py", "createsuperuser", "--noinput", "-v", "0"],
    ],
    servers=[["{python}", "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "-k", "gthread", "wsgi:application"]],
    commands=[["{python}", "visitors.py", "{port}"]],
    asks=[],
    # gunicorn keeps a control socket in that directory.
    environment={
        "SHOP_DATABASE": "{directory}/shop.sqlite3",
        "DJANGO_SUPERUSER_USERNAME": "bob",
        "DJANGO_SUPERUSER_EMAIL": "bob@example.com",
        "DJANGO_SUPERUSER_PASSWORD": "music",
        "XDG_RUNTIME_DIR": "{directory}",
    },
    arrives=[
        {
            **ANNA,
            "event": "Product Viewed",
            "properties": {"product_id": "7", "price": 14.99},
            "context": on("/items/7/")
            | {"userAgent": "Anna's browser", "campaign": {"source": "mail", "name": "autumn"}},
        },
        {**ANNA, "type": "page", "name": "item", "context": on("/items/7/")},
        {"type": "page", "name": "login", "userId": None},
        {**BOB, "type": "identify", "traits": {"username": "bob"}},
        {**BOB, "event": "Signed In", "context": on("/login/")},
        {**BOB, "event": "Product Added", "properties": {"product_id": "8"}},
        {
            **BOB,
            "event": "Order Completed",
            "properties": {"order_id": "1", "revenue": 14.99},
            "context": on("/order/"),
        },
        # The piano's order was rolled back, and with it its event; what is told of it afterwards is not.
        {**BOB, "event": "Payment Declined", "properties": {"revenue": 12000}, "context": on("/items/10/buy/")},
        {**BOB, "event": "Signed Out", "context": on("/logout/")},
    ],
)
