"""Key set: which keys of a window have come before, in 12 to 20 bytes a key from half a million on (a `set`: 70 to 80).

Keeps a hash of 64 bits of each key: among a million keys two are taken for one with a chance of 1 to 37 million.
"""

from array import array
from typing import Final

_BUCKETS: Final = 1 << 15


class KeySet:
    """Keys that have come. A look-up goes through one bucket: some 30 keys of a million."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[int, array[int]] = {}

    def add(self, key: str) -> bool:
        """Remember the key; False: it has come before."""
        hashed = hash(key)
        bucket = self._buckets.get(hashed % _BUCKETS)
        if bucket is None:
            self._buckets[hashed % _BUCKETS] = array("q", (hashed,))
        elif hashed in bucket:
            return False
        else:
            bucket.append(hashed)
        return True

    def __contains__(self, key: str) -> bool:
        hashed = hash(key)
        return hashed in self._buckets.get(hashed % _BUCKETS, ())
