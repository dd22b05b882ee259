"""A first event: make a client, call it, and let the program end. What is queued is sent before the process goes."""

from analytics_client import Client

# The write key is read from ANALYTICS_WRITE_KEY; Client("...") takes it as an argument, too.
analytics = Client()

analytics.identify("u-1", {"email": "pgibbons@example.com", "plan": "trial"})
analytics.track("u-1", "Item Purchased", {"title": "Leap to Conclusions Mat", "revenue": 14.99})
message_id = analytics.page("u-1", category="Docs", name="Getting started")

print(f"the last event has the id {message_id}")
if analytics.flush(timeout=5):
    print("and all three were delivered")
else:
    print(f"not delivered yet: {analytics.stats}")
