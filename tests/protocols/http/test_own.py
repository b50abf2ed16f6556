# -*- test-case-name: tests.protocols.http.test_own -*-
"""
L{lproxy.protocols.http.own}: who has authenticated an upstream connection has it alone.
"""

from __future__ import annotations

from lproxy.protocols.http.own import MOST
from lproxy.stack.lease import Hold
from lproxy.testing import Peer
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post

CHALLENGE = ok(b"", "WWW-Authenticate: NTLM TlRMTVNT", status="401 Unauthorized")


class OwnTests(HttpTestCase):
    """Connections that are authenticated, and all that asks on others."""

    def authenticated(self, *fields: str) -> Peer:
        """A client that has shown who it is, on the latest upstream connection."""
        client = self.client(get("/", *(fields or ("Authorization: NTLM TYPE1",))))
        self.say(self.up, CHALLENGE)
        self.say(client, get("/", *(fields or ("Authorization: NTLM TYPE3",))))
        self.say(self.up, OK)
        self.assertEqual(CHALLENGE + OK, self.heard(client))
        return client

    def test_nobody_else(self) -> None:
        """All steps and all that follows go over one connection, and nobody else gets it."""
        alice = self.authenticated()
        self.assertEqual((1, 0, 0), (len(self.ups), self.idle, self.proxy.open))
        mallory = self.client(GET)
        self.assertEqual((2, GET), (len(self.ups), self.ups[1].heard))
        self.say(self.ups[1], ok(b"", status="401 Unauthorized"))
        self.say(alice, get("/secret"))
        self.assertTrue(self.ups[0].heard.endswith(get("/secret")))
        self.say(self.ups[0], OK)
        self.assertEqual((OK, 1), (self.heard(alice), self.idle))
        self.say(mallory, GET)
        self.assertEqual((2, GET + GET), (len(self.ups), self.ups[1].heard))

    def test_schemes(self) -> None:
        """Both fields, in whatever case, and in whatever company."""
        for fields in (
            ("Authorization: Negotiate YII=",),
            ("authorization: ntlm abc",),
            ("Authorization: NTLM",),
            ("Authorization:\tNEGOTIATE\tx",),
            ("Proxy-Authorization: NTLM TYPE3",),
            ("Authorization: Basic eDp5", "Authorization: NTLM x"),
        ):
            with self.subTest(fields=fields):
                self.start()
                client = self.client(get("/", *fields))
                self.say(self.up, OK)
                self.assertEqual((OK, 0, ""), (self.heard(client), self.idle, self.up.ended))
                self.client(GET)
                self.assertEqual(2, len(self.ups))
                self.factory.stop()
        self.start()

    def test_others_are_shared(self) -> None:
        """Credentials that come with each request, or are not for this, leave a connection everybody's."""
        for fields in (("Authorization: Basic TlRMTSA=",), ("Authorization: Bearer ntlm",), ("X-Authorization: NTLM",)):
            self.client(get("/", *fields))
            self.say(self.up, ok(b"", "WWW-Authenticate: Basic realm=x", status="401 Unauthorized"))
        self.assertEqual((1, 1), (len(self.ups), self.idle))

    def test_challenged(self) -> None:
        """An answer that asks for such a handshake begins it: the connection is that client's already."""
        for status, field in (
            ("401 Unauthorized", "WWW-Authenticate: Negotiate"),
            ("407 Proxy Authentication Required", "Proxy-Authenticate: NTLM"),
            ("401 Unauthorized", "WWW-Authenticate: Basic realm=a, NTLM"),
        ):
            self.client(GET)
            self.say(self.up, ok(b"", field, status=status))
            self.assertEqual(0, self.idle, field)
        self.client(GET)
        self.say(self.up, ok(b"", "WWW-Authenticate: NTLM"))
        self.assertEqual((4, 1), (len(self.ups), self.idle))

    def test_ends_with_the_client(self) -> None:
        """It is closed when the client goes, however it goes."""
        for leave in (Peer.hang_up, Peer.reset):
            client = self.authenticated()
            leave(client)
            self.settle()
            self.assertEqual(("closed", 0), (self.up.ended, self.idle))

    def test_in_mid_call(self) -> None:
        """A client that goes while it is asked something takes it along."""
        client = self.authenticated()
        self.say(client, GET)
        client.reset()
        self.settle()
        self.assertEqual(("reset", 0), (self.up.ended, self.idle))

    def test_last_answer(self) -> None:
        """So does one whose connection ends with the answer that authenticates it."""
        client = self.client(get("/", "Authorization: NTLM x", "Connection: close"))
        self.say(self.up, OK)
        self.assertEqual(("closed", "closed", 0), (client.ended, self.up.ended, self.idle))

    def test_ends_before(self) -> None:
        """Where the upstream ends it, the client has another, which is everybody's until somebody authenticates it."""
        client = self.authenticated()
        self.up.hang_up()
        self.settle()
        self.say(client, GET)
        self.assertEqual((2, GET), (len(self.ups), self.up.heard))
        self.say(self.up, OK)
        self.assertEqual(1, self.idle)

    def test_dead(self) -> None:
        """One that has ended without being read yet is noticed."""
        client = self.authenticated()
        self.up.say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        client.say(post(b"x"))
        self.settle()
        self.assertEqual(2, len(self.ups))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))

    def test_broken(self) -> None:
        """An answer that breaks leaves nothing that anybody could use."""
        client = self.client(get("/", "Authorization: NTLM x"))
        self.say(self.up, ok(b"a", length=5))
        self.up.hang_up()
        self.settle()
        self.assertEqual(("reset", "reset", 0), (client.ended, self.up.ended, self.idle))

    def test_sent_again(self) -> None:
        """A request that is tried once more, since its own connection was dead, binds the next one as well."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.up.hang_up()
        self.say(client, get("/", "Authorization: NTLM x"))
        self.say(self.up, OK)
        self.assertEqual((2, 0), (len(self.ups), self.idle))

    def test_each_target(self) -> None:
        """A client of a proxy has one for each target, and none gets another's requests."""
        self.start(listen={"target": "authority"})
        client = self.client()
        for host in ("a.test", "b.test"):
            self.say(client, get("/", "Authorization: NTLM x").replace(b"web.test", host.encode()))
            self.say(self.up, OK)
        for n, host in enumerate(("a.test", "b.test")):
            self.say(client, GET.replace(b"web.test", host.encode()))
            self.assertTrue(self.ups[n].heard.endswith(GET.replace(b"web.test", host.encode())))
            self.say(self.ups[n], OK)
        self.assertEqual(2, len(self.ups))
        client.reset()
        self.settle()
        self.assertEqual(["closed", "closed"], [up.ended for up in self.ups])

    def test_bounded(self) -> None:
        """A client has so many at once and no more: the one that it has used least lately is closed."""
        self.start(listen={"target": "authority"})
        client = self.client()
        for n in (*range(MOST), 0, MOST):
            self.say(client, get("/", "Authorization: NTLM x").replace(b"web.test", b"%d.test" % n))
            self.say(self.ups[n], OK)
        self.assertEqual(["", "closed", *[""] * (MOST - 1)], [up.ended for up in self.ups])

    def test_counted(self) -> None:
        """It is in flight, and its endpoint's load, only while it is asked something."""
        client = self.authenticated()
        self.assertEqual(0, self.pool.load)
        self.say(client, GET)
        self.assertEqual(1, self.pool.load)
        self.say(self.up, OK)
        self.assertEqual(0, self.pool.load)

    def test_held(self) -> None:
        """What the stack holds for such a lease, the limit on requests in flight, it holds for the next one, too."""
        hold = Hold()
        self.client(GET)
        self.say(self.up, OK)
        lease = self.successResultOf(self.pool.acquire())
        lease.hold = hold
        hold.count += 1
        kept = lease.keep()
        self.assertEqual(0, hold.count)
        again = kept.lease()
        self.assertEqual(1, hold.count)
        again.close()
        self.assertEqual((0, "closed"), (hold.count, self.up.ended))
