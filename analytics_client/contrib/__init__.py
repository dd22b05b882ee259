"""Integrations: who and where a web request is, filled into every event that is made while it is handled.

One module per framework (`asgi`, `wsgi`, `flask`, `django`, `celery`, `aws_lambda`), each loaded only by those who use
it. They use the public package alone, and nothing in the package uses them. They never harm their host: what goes wrong
in a hook is counted in `client.stats.notices` and logged once, and the response goes out as if nothing had been.
"""
