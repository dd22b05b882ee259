"""The message id of a row: the same in every run, another one for every row. And counting ids that come twice. Pure.

An id is made of the row's content, its number, the name of its file, and the call it becomes: so equal rows are
different events, two files with equal first rows do not hide each other, and a file that is imported once as
`identify` and once as `track` arrives twice.
"""

import hashlib
from collections.abc import Callable

# Names of events whose bytes are kept: there are few, unless they come from a column.
_LABELS_KEPT = 1_000


def row_ids(place: str) -> Callable[[int, bytes, str, str], str]:
    """Return a function of a row's number, its content, its call and its event's name that gives the id.

    Args:
        place: what the file is called.
    """
    begun = hashlib.blake2b(place.encode("utf-8", "surrogateescape") + b"\0", digest_size=12)

    labels: dict[tuple[str, str], bytes] = {}

    def row_id(number: int, content: bytes, kind: str, event: str) -> str:
        label = labels.get((kind, event))
        if label is None:
            if len(labels) > _LABELS_KEPT:
                labels.clear()
            label = labels[kind, event] = f"\0{kind}\0{event}\0".encode("utf-8", "surrogatepass")
        digest = begun.copy()
        digest.update(b"%d%b%b" % (number, label, content))
        return f"{digest.hexdigest()}-{number}"

    return row_id


class Seen:
    """Counts ids that have come before, in memory that does not grow: a Bloom filter of 32 MiB.

    A few new ids are taken for old ones (some 250 of ten million); none that came before is missed.
    """

    _BITS = 1 << 28
    _PROBES = 5

    def __init__(self) -> None:
        self._bits: bytearray | None = None  # until there is an id
        self.again = 0

    def add(self, message_id: str) -> bool:
        """Take an id in; return whether it was there before."""
        bits = self._bits
        if bits is None:
            bits = self._bits = bytearray(self._BITS // 8)
        digest = int.from_bytes(hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=20).digest())
        new = False
        for _ in range(self._PROBES):
            place, bit = (digest & self._BITS - 1) >> 3, 1 << (digest & 7)
            digest >>= 32
            if not bits[place] & bit:
                bits[place] |= bit
                new = True
        if not new:
            self.again += 1
        return not new
