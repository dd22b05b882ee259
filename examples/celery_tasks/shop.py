"""Two customers place an order each, and a nightly job does its work: queues the tasks, then ends.

In a web application the scopes below are made by its middleware.
"""

from tasks import analytics, charge, recommend

from analytics_client import scope

CUSTOMERS = {
    "anna": {"ip": "192.0.2.1", "page": {"path": "/checkout", "url": "https://shop.example/checkout"}},
    "bob": {"ip": "192.0.2.2", "page": {"path": "/buy-now", "url": "https://shop.example/buy-now"}},
}


def main() -> None:
    for number, (customer, context) in enumerate(CUSTOMERS.items()):
        with scope(customer, context=context):
            analytics.track(event="Order Placed", properties={"order": f"order-{number}"})
            charge.delay(f"order-{number}")
    recommend.delay("carol")
    print("queued")


if __name__ == "__main__":
    main()
