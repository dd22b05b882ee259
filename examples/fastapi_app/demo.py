"""What `dev.py example fastapi_app` does: two visitors, one of whom logs in and buys."""

from run import Ask, Example

ANNA = {"Cookie": "ajs_anonymous_id=%22anna-in-the-browser%22", "User-Agent": "Anna's browser"}
BOB = "bob"

EXAMPLE = Example(
    servers=[["{python}", "-m", "uvicorn", "--port", "{port}", "--log-level", "warning", "app:app"]],
    asks=[
        Ask("GET", "/items/7?utm_source=mail&utm_campaign=autumn", ANNA, browser="Anna, who has Segment's cookie"),
        Ask("GET", "/report/1", ANNA, browser="Anna, who has Segment's cookie"),
        Ask("GET", "/items/8", browser=BOB),
        Ask("POST", "/login/bob", browser=BOB),
        Ask("POST", "/orders/1001", browser=BOB),
    ],
    arrives=[
        {
            "event": "Item Viewed",
            "userId": None,
            "anonymousId": "anna-in-the-browser",
            "context": {
                "userAgent": "Anna's browser",
                "page": {"path": "/items/7", "search": "?utm_source=mail&utm_campaign=autumn"},
                "campaign": {"source": "mail", "name": "autumn"},
            },
        },
        {
            "event": "Report Downloaded",
            "anonymousId": "anna-in-the-browser",
            "context": {"page": {"path": "/report/1"}},
        },
        {"event": "Item Viewed", "userId": None, "context": {"page": {"path": "/items/8"}, "campaign": None}},
        {"type": "identify", "userId": "bob", "context": {"page": {"path": "/login/bob"}}},
        {"event": "Order Completed", "userId": "bob", "context": {"page": {"path": "/orders/1001"}}},
        {"event": "Order Shipped", "userId": "bob", "context": {"page": {"path": "/orders/1001"}}},
    ],
)
