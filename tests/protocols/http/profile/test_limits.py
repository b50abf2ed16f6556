# -*- test-case-name: tests.protocols.http.profile.test_limits -*-
"""
Tests for L{lproxy.protocols.http.profile.limits}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Rate
from lproxy.protocols.http.message import Headers, Request
from lproxy.protocols.http.profile.limits import SHORT, BodyTooLarge, Gate, RateLimited, gate, key_of
from lproxy.stack.rates import Limiter
from lproxy.target import Authority
from lproxy.transport.stream import Conn, Secured

CONN = Conn(("10.0.0.9", 4711), ("10.0.0.2", 4140))
WEB = Authority("web.local", 80)


def request(*headers: tuple[bytes, bytes], authority: bytes = b"web.local") -> Request:
    """One with these fields."""
    fields: Headers = list(headers)
    return Request(b"GET", b"/", fields, 0, authority, False)


class KeyTests(SynchronousTestCase):
    """Whose requests are counted together."""

    def header(self, *values: bytes) -> Any:
        """By a field that has these values."""
        return key_of(Rate(1, by="header", header="X-Key"), request(*((b"x-KEY", value) for value in values)), CONN)

    def test_all(self) -> None:
        """Everybody's are."""
        self.assertIsNone(key_of(Rate(1), request(), CONN))

    def test_client(self) -> None:
        """By address, whatever the port."""
        self.assertEqual("10.0.0.9", key_of(Rate(1, by="client"), request(), CONN))

    def test_identity(self) -> None:
        """By who was proved; all others together, with TLS or without."""
        rate = Rate(1, by="identity")
        proved = CONN._replace(tls=Secured("web", local_identity="cart.mesh", remote_identity="web.mesh"))
        self.assertEqual("web.mesh", key_of(rate, request(), proved))
        self.assertIsNone(key_of(rate, request(), CONN._replace(tls=Secured("web"))))
        self.assertIsNone(key_of(rate, request((b"l5d-client-id", b"web.mesh")), CONN))

    def test_header(self) -> None:
        """By value, less the blanks around it; several are one; an empty one is none that is missing."""
        self.assertEqual(b"a", self.header(b" a\t"))
        self.assertEqual(b"a,b", self.header(b"a", b"b"))
        self.assertEqual(b"", self.header(b""))
        self.assertIsNone(self.header())

    def test_long(self) -> None:
        """However long a value is, little of it is kept, and another is another."""
        long = b"x" * 8_000
        self.assertEqual(self.header(long), self.header(long))
        self.assertNotEqual(self.header(long), self.header(long + b"y"))
        self.assertLessEqual(len(self.header(long)), SHORT)

    def test_host(self) -> None:
        """Host is whom a request is for, in either version."""
        rate = Rate(1, by="header", header="Host")
        self.assertEqual(b"web.local", key_of(rate, request(authority=b"WEB.local"), CONN))
        self.assertLessEqual(len(key_of(rate, request(authority=b"a" * 8_000), CONN)), SHORT)  # type: ignore[arg-type]


class GateTests(SynchronousTestCase):
    """Requests that may pass, and those that may not."""

    def test_none(self) -> None:
        """Without rates there is none."""
        self.assertIsNone(gate(WEB, ()))

    def test_one(self) -> None:
        """What is more than the rate is refused, and told in whole seconds when to come back."""
        one = Gate(WEB, (Limiter(Rate(2, 10.0)),))
        self.assertEqual([None, None], [one.refuse(request(), CONN, 0.0) for _ in range(2)])
        refused = one.refuse(request(), CONN, 0.5)
        assert refused is not None
        self.assertEqual((429, 5, True, True), (refused.status, refused.retry_after, refused.shed, refused.keep))
        self.assertEqual("rate: web.local:80 takes 2 requests in 10 s, and is asked for more", str(refused))
        self.assertIsNone(one.refuse(request(), CONN, 5.5))

    def test_at_least_a_second(self) -> None:
        """Nobody is told to come back at once."""
        one = Gate(WEB, (Limiter(Rate(100)),))
        refused = [one.refuse(request(), CONN, 0.0) for _ in range(101)][-1]
        self.assertEqual(1, refused.retry_after if refused is not None else None)

    def test_several(self) -> None:
        """All have to let a request pass, and what one refuses is not taken from the others."""
        each, together = Limiter(Rate(1, by="header", header="a")), Limiter(Rate(2))
        both = Gate(WEB, (each, together))
        asked = [request((b"a", key)) for key in (b"1", b"1", b"1", b"2", b"3")]
        refused = [both.refuse(one, CONN, 0.0) for one in asked]
        self.assertEqual([None, "a", "a", None, "all"], [r and (r.rate.header or r.rate.by) for r in refused])

    def test_longest(self) -> None:
        """Where several refuse, it is told when all will let it pass."""
        both = Gate(WEB, (Limiter(Rate(1, 5.0, by="client")), Limiter(Rate(1, 60.0, by="identity"))))
        both.refuse(request(), CONN, 0.0)
        refused = both.refuse(request(), CONN, 0.0)
        assert refused is not None
        self.assertEqual(60, refused.retry_after)
        self.assertIn("1 request of each identity in 60 s", refused.what())


class ErrorTests(SynchronousTestCase):
    """What is told."""

    def test_words(self) -> None:
        """Whose requests, and how many bytes."""
        self.assertIn("9 requests of each client in 1 s", RateLimited(WEB, Rate(9, by="client"), 1.0).what())
        self.assertIn("of each x-key in", RateLimited(WEB, Rate(9, by="header", header="x-key"), 1.0).what())
        error = BodyTooLarge(WEB, 10)
        self.assertEqual("http: web.local:80 takes bodies of 10 bytes at most", str(error))
        self.assertEqual((413, True, True), (error.status, error.shed, error.keep))
