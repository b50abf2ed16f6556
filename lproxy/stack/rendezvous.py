# -*- test-case-name: tests.stack.test_rendezvous -*-
"""
Which of several serves a key: always the same one, whoever asks, as long as it is among them.

Rendezvous hashing: each of them draws a number for the key, and the highest wins. So the keys of one that is gone go to
the others evenly and all else stays; one that joins gets its part, and nothing moves between the rest. With weights
(weighted rendezvous: -w / ln(x), x uniform between 0 and 1) the part is as large as the weight.

The numbers are those of the names alone: they are the same in every process and after every restart.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from math import log
from typing import Final

from lproxy.target import Target

WORD: Final = (1 << 64) - 1


def digest(key: bytes) -> int:
    """64 bits of C{key}."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little")


@lru_cache(4096)
def seed(target: Target) -> int:
    """64 bits of who draws."""
    return digest(str(target).encode("utf-8", "replace"))


def drawn(key: int, by: int, weight: float) -> float:
    """
    What one of them draws: the highest serves.

    @param key: its L{digest}
    @param by: the L{seed} of who draws
    @param weight: positive
    """
    # the finalizer of splitmix64: every bit of either changes half of the result's
    z = key ^ by
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & WORD
    return -weight / log(unit(z ^ z >> 31))


def unit(word: int) -> float:
    """C{word}, of 64 bits, as a number between 0 and 1, neither of them included."""
    # 52 bits: what a float keeps beside the half
    return ((word >> 12) + 0.5) * 2.0**-52
