"""A module that cannot be imported: what a path in the settings may lead to."""

1 / 0  # noqa: B018
