# -*- test-case-name: tests.identity.test_sessions -*-
"""
Tests for L{lproxy.identity.sessions}; with real servers, see L{tests.transport.tls.test_client}.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import contexts
from lproxy.identity.sessions import KEPT, Key, Sessions
from lproxy.target import Endpoint, Secure
from lproxy.testing.certificates import authority
from tests.identity.handshake import material, shake, trust

SHOP = authority()
A, B, C = (Endpoint("10.0.0.1", n) for n in (1, 2, 3))
NAME = "web.test"


def key(endpoint: Endpoint) -> Key:
    """Of a service there."""
    return endpoint, Secure(NAME)


class SessionsTests(SynchronousTestCase):
    """Those of one context."""

    def setUp(self) -> None:
        self.server = contexts.frontend(material(SHOP.issue(NAME, lasts=timedelta(hours=1))))
        self.client = contexts.client(trust(SHOP))
        self.now = datetime.now(UTC).timestamp()

    def connection(self, session: SSL.Session | None = None) -> SSL.Connection:
        """One that stands, and has been given tickets."""
        return shake(self.server, self.client, NAME, session)[1].connection

    def opened(self, sessions: Sessions, *endpoints: Endpoint) -> None:
        """Connections to these, one after the other."""
        for endpoint in endpoints:
            sessions.opened(key(endpoint), self.connection(), False)

    def test_open_and_closed(self) -> None:
        """What an open connection was given last, and what a closed one was; and whose it is."""
        sessions = Sessions()
        connection = self.connection()
        sessions.opened(key(A), connection, False)
        for closed in (False, True):
            if closed:
                sessions.closed(key(A), connection)
            kept = sessions.find(key(A), self.now)
            assert kept is not None and kept.session is not None
            self.assertEqual((NAME, closed), (kept.identity, kept.connection is None))
            sides = shake(self.server, self.client, NAME, kept.session)
            self.assertIsNone(sides[1].error)
        self.assertIsNone(sessions.find(key(B), self.now))

    def test_another_closed(self) -> None:
        """A connection that others have followed has nothing to say when it closes."""
        sessions = Sessions()
        first, second = self.connection(), self.connection()
        sessions.opened(key(A), first, False)
        sessions.opened(key(A), second, False)
        sessions.closed(key(A), first)
        kept = sessions.find(key(A), self.now)
        assert kept is not None
        self.assertIs(second, kept.connection)

    def test_expired(self) -> None:
        """None is gone on with once what was verified has expired, also where it was resumed meanwhile."""
        sessions = Sessions()
        self.opened(sessions, A)
        sessions.opened(key(A), self.client.connection(None), True)
        self.assertIsNotNone(sessions.find(key(A), self.now))
        self.assertIsNone(sessions.find(key(A), self.now + 7200))
        self.assertEqual(0, len(sessions))

    def test_bounded(self) -> None:
        """Of many, those of the connections that were made last are kept."""
        sessions = Sessions(2)
        self.opened(sessions, A, B, A, C)
        self.assertEqual([True, False, True], [sessions.find(key(one), self.now) is not None for one in (A, B, C)])
        self.assertGreater(KEPT, 100)

    def test_forgotten(self) -> None:
        """What is forgotten begins anew; harmless where there is nothing."""
        sessions = Sessions()
        self.opened(sessions, A)
        for _ in range(2):
            sessions.forget(key(A))
            self.assertIsNone(sessions.find(key(A), self.now))

    def test_nothing_yet(self) -> None:
        """A connection that has not been given anything has nothing to go on with."""
        sessions = Sessions()
        sessions.opened(key(A), self.client.connection(None), False)
        kept = sessions.find(key(A), self.now)
        assert kept is not None
        self.assertIsNone(kept.session)
