"""Deep merging of context and integrations: the client's under the scope's under the call's. Pure.

Never changes what it is given: it returns one of its arguments or a new dict.
"""

from collections.abc import Mapping
from typing import Any

# Contexts are a few levels deep. Deeper, the upper value replaces the lower one whole: a dict that holds itself
# would otherwise never end.
_MAX_DEPTH = 16


def merged(
    lower: Mapping[str, Any] | None, upper: Mapping[str, Any] | None, depth: int = _MAX_DEPTH
) -> Mapping[str, Any] | None:
    """Lay `upper` over `lower`: the upper value wins, and two mappings under one key are merged in turn."""
    if not lower:
        return upper
    if not upper:
        return lower
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        if depth and isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = merged(below, value, depth - 1)
        else:
            result[key] = value
    return result
