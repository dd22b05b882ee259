"""What the settings' `ANALYTICS_CLIENT` names."""

from typing import Any


def traits(user: Any) -> dict[str, Any]:
    """What is told of somebody who logs in."""
    return {"username": user.get_username(), "createdAt": user.date_joined}
