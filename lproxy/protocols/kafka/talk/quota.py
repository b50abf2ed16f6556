# -*- test-case-name: tests.protocols.kafka.talk.test_quota -*-
"""
What one client id may ask for per second: whoever asks for more is read later, and never refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from lproxy.protocols.kafka.settings import Quota
from lproxy.protocols.kafka.talk.counters import ClientCounter
from lproxy.stack.tokens import Tokens

#: the quota of client ids that have none of their own, each by itself
ANYBODY = "*"
#: such client ids that are told apart; further ones share
CLIENTS = 1_000


class Bucket:
    """
    One client id's quota, over all its connections to a listener: a second's worth at once, and what is over is owed.
    Who asks for much at once waits long after it.
    """

    __slots__ = ("_bytes", "_requests")

    def __init__(self, quota: Quota, now: float) -> None:
        self._bytes = _second(quota.bytes, now)
        self._requests = _second(quota.requests, now)

    def take(self, size: int, now: float) -> float:
        """A request of C{size} bytes; returns the seconds after which the next may be read."""
        seconds = 0.0
        if self._bytes is not None:
            seconds = self._bytes.take(size, now)
        if self._requests is not None:
            seconds = max(seconds, self._requests.take(1, now))
        return seconds


def _second(worth: int | None, now: float) -> Tokens | None:
    return Tokens(worth, worth, now) if worth is not None else None


class Charge:
    """What one client id's requests are counted by, and its quota, if it has one."""

    __slots__ = ("_bucket", "_counter")

    def __init__(self, counter: ClientCounter, bucket: Bucket | None) -> None:
        self._counter = counter
        self._bucket = bucket

    def take(self, size: int, now: float) -> float:
        """As L{Bucket.take}."""
        self._counter.requests += 1
        self._counter.bytes += size
        return self._bucket.take(size, now) if self._bucket is not None else 0.0


class Quotas:
    """All client ids of a listener."""

    def __init__(self, quotas: Mapping[str, Quota]) -> None:
        self._quotas = quotas
        self._buckets: dict[str, Bucket] = {}

    def of(self, client_id: str | None, now: float) -> Bucket | None:
        """The quota of C{client_id}, C{None} where it has none."""
        name = client_id or ""
        quota = self._quotas.get(name) or self._quotas.get(ANYBODY)
        if quota is None:
            return None
        bucket = self._buckets.get(name)
        if bucket is None:
            if name not in self._quotas and len(self._buckets) >= CLIENTS + len(self._quotas):
                name = ANYBODY
            bucket = self._buckets.setdefault(name, Bucket(quota, now))
        return bucket
