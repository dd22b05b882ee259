"""Garbage collection while millions of rows pass: rows hold no cycles, so looking for some in each of them is waste."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects after which Python looks for cycles; its own figure is 700, a few dozen rows.
_THRESHOLD = 50_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage less often inside the block, as long as nobody has chosen otherwise."""
    before = gc.get_threshold()
    chosen = before[0] > _THRESHOLD or not before[0]
    if not chosen:
        gc.set_threshold(_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        if not chosen:
            gc.set_threshold(*before)
