# -*- test-case-name: tests.protocols.http.profile.test_sticky -*-
"""
L{lproxy.protocols.http.profile.sticky}: by what clients are known.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Sticky
from lproxy.protocols.http.profile.sticky import Sticking
from tests.protocols.http.harness import get, ok
from tests.protocols.http.profile.test_match import asked
from tests.protocols.http.profile.test_router import BOOKS, ProfiledTestCase


class StickingTests(SynchronousTestCase):
    """A request's key."""

    def key(self, sticky: Sticky, *fields: tuple[str, str]) -> bytes | None:
        """That of a request with C{fields}."""
        hint = Sticking(sticky).hint(asked("/", "GET", *fields))
        return hint.key if hint is not None else None

    def test_field(self) -> None:
        """A field's value, all of it; in both versions the host is one."""
        self.assertEqual(b"a,b", self.key(Sticky(header="X-User"), ("x-user", "a"), ("X-USER", "b")))
        self.assertIsNone(self.key(Sticky(header="X-User"), ("x-other", "a")))
        self.assertEqual(b"web.test", self.key(Sticky(header="Host")))

    def test_cookie(self) -> None:
        """The first of the name, in whichever field; names are as they are."""
        sticky = Sticky(cookie="id")
        self.assertEqual(b"2", self.key(sticky, ("cookie", "ID=1; xid=3"), ("Cookie", "b=c;  id=2; id=4")))
        self.assertIsNone(self.key(sticky, ("cookie", "ID=1")))

    def test_either(self) -> None:
        """The field, and the cookie where there is none."""
        sticky = Sticky(header="x-user", cookie="id")
        self.assertEqual(b"a", self.key(sticky, ("cookie", "id=2"), ("x-user", "a")))
        self.assertEqual(b"2", self.key(sticky, ("cookie", "id=2")))


class StuckTests(ProfiledTestCase):
    """A listener whose requests' destination has a profile that says so."""

    def test_hint(self) -> None:
        """Whoever has the balancer's ear is told the key, with the first try and with others."""
        self.begin(BOOKS, sticky=Sticky(header="x-user"))
        stack = self.proxy.acquires["http"]
        hints = []
        acquire = stack.acquire
        self.patch(stack, "acquire", lambda target, hint=None: hints.append(hint) or acquire(target, hint))
        client = self.client(get("/", "X-User: a"))
        self.say(self.up, ok())
        self.assertEqual((ok(), [b"a"]), (self.heard(client), [hint.key for hint in hints]))
