# -*- test-case-name: tests.metrics.test_certificates -*-
"""
The families of certificates: until when ours are good, and what became of new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lproxy.metrics.caps import Cap
from lproxy.metrics.family import Family

#: certificates with series of their own; further ones are C{other}
CERTIFICATE_CAP = 200


class Certificates:
    """
    One for all configurations: one that is read again because another configuration names it, too, counts once.
    """

    def __init__(self) -> None:
        self._cap = Cap(CERTIFICATE_CAP)
        #: by name: what tells it from others, and when it expires
        self._used: dict[str, tuple[str, float]] = {}
        self._refreshed: dict[str, int] = {}
        self._refused: dict[tuple[str, str], int] = {}

    def use(self, name: str, mark: str, expires: float) -> None:
        """
        A certificate is in use.

        @param name: C{identity} for our own identity, else its file
        @param mark: another one for each certificate
        @param expires: when it does, seconds of the epoch
        """
        before = self._used.get(name)
        self._used[name] = mark, expires
        if before is None or before[0] != mark:
            label = self._cap(name)
            self._refreshed[label] = self._refreshed.get(label, 0) + 1

    def refuse(self, name: str, reason: str) -> None:
        """What was in its file was not used."""
        key = (self._cap(name), reason)
        self._refused[key] = self._refused.get(key, 0) + 1

    def keep(self, names: Iterable[str]) -> None:
        """Only these are in use: others do not expire any more."""
        for name in self._used.keys() - set(names):
            del self._used[name]

    def _expiring(self) -> dict[str, float]:
        """By label: when the first of them expires."""
        found: dict[str, float] = {}
        for name, (_, expires) in self._used.items():
            label = self._cap(name)
            found[label] = min(expires, found.get(label, expires))
        return found

    def families(self) -> Iterator[Family]:
        """As of now."""
        yield Family(
            "identity_cert_expiration_timestamp_seconds",
            "gauge",
            "When the certificate in use, or the first of its chain, expires, in seconds of the epoch. certificate is "
            "identity for the proxy's own identity, else a file.",
            [((("certificate", name),), value) for name, value in self._expiring().items()],
        )
        yield Family(
            "identity_cert_refresh_total",
            "counter",
            "Certificates that were taken into use: the first, and each that replaced one.",
            [((("certificate", name),), n) for name, n in self._refreshed.items()],
        )
        yield Family(
            "identity_cert_refresh_refused_total",
            "counter",
            "Certificates, keys or anchors that were not taken into use when their files had changed, by reason; what "
            "was in use before still is.",
            [((("certificate", name), ("reason", reason)), n) for (name, reason), n in self._refused.items()],
        )
