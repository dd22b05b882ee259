"""A configuration of gunicorn for gevent with --preload: patches before the project is loaded, as Django needs it."""

from gevent import monkey  # type: ignore[import-untyped]

monkey.patch_all()
