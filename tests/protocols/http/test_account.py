# -*- test-case-name: tests.protocols.http.test_account -*-
"""
L{lproxy.protocols.http.account}: where the time of an exchange went, and its bytes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.account import Account
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post

UPGRADE = get("/", "Connection: Upgrade", "Upgrade: websocket")
SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class AccountTests(SynchronousTestCase):
    """Times, whatever became of the exchange."""

    def test_answered(self) -> None:
        """Waiting, the upstream's first word and its last are told apart."""
        account = Account(10.0)
        account.tries += 1
        account.dispatch(11.0)
        account.answer(13.0, 13.5, 100)
        self.assertEqual((1.0, 2.0, 4.0), (account.acquiring(15.0), account.to_head(), account.to_end(15.0)))
        self.assertEqual((1.5, 100), (account.overhead, account.sent))

    def test_again(self) -> None:
        """Each try's waiting counts; of the upstreams, the last."""
        account = Account(10.0)
        account.tries += 1
        account.dispatch(11.0)
        account.again(20.0, "lost", 0, None)
        account.tries += 1
        account.dispatch(22.0)
        account.answer(25.0, 25.0, 0)
        self.assertEqual((3.0, 3.0, 5.0), (account.acquiring(27.0), account.to_head(), account.to_end(27.0)))

    def test_never_sent(self) -> None:
        """Who got no service waited all the time, for the second try as well."""
        account = Account(10.0)
        self.assertEqual((4.0, None, None), (account.acquiring(14.0), account.to_head(), account.to_end(14.0)))
        account.tries += 1
        account.dispatch(11.0)
        account.again(20.0, "lost", 0, None)
        self.assertEqual((6.0, None, None), (account.acquiring(25.0), account.to_head(), account.to_end(25.0)))

    def test_not_answered(self) -> None:
        """An upstream that does not answer has had its time all the same."""
        account = Account(10.0)
        account.tries += 1
        account.dispatch(10.0)
        self.assertEqual((None, 3.0), (account.to_head(), account.to_end(13.0)))


class ExchangeTests(HttpTestCase):
    """What exchanges enter into it, as the access log shows it."""

    def row(self, *names: str) -> tuple[object, ...]:
        return tuple(self.proxy.records[-1][name] for name in names)

    def test_times(self) -> None:
        """A wait for the connection, and one for the answer; the rest of that comes later."""
        self.proxy.connector.mode = "wait"
        client = self.client(GET)
        self.wait(0.5)
        self.proxy.connector.accept()
        self.settle()
        self.wait(1)
        self.say(self.up, OK[:-1])
        self.wait(2)
        self.say(self.up, OK[-1:])
        self.heard(client)
        names = ("acquire_seconds", "upstream_head_seconds", "upstream_seconds", "seconds")
        for is_, wanted in zip(self.row(*names), (0.5, 1.0, 3.0, 3.5), strict=True):
            self.assertAlmostEqual(wanted, is_)

    def test_bytes(self) -> None:
        """Bodies alone are counted, piece by piece, not what frames them."""
        client = self.client(post(b"ab", length=5))
        self.say(client, b"cde")
        self.say(self.up, ok(b"12", length=6))
        self.say(self.up, b"3456")
        self.assertEqual((5, 6), self.row("bytes_in", "bytes_out"))

    def test_tunnel(self) -> None:
        """What a protocol that was switched to has said, in both directions."""
        client = self.client(UPGRADE + b"early")
        self.say(self.up, SWITCH + b"hello")
        self.say(client, b"123")
        self.say(self.up, b"4")
        client.hang_up()
        self.up.hang_up()
        self.settle()
        self.assertEqual((8, 6), self.row("bytes_in", "bytes_out"))

    def test_ours(self) -> None:
        """An answer of ours is none of the upstream's."""
        self.proxy.connector.mode = "refuse"
        client = self.client(GET)
        body = self.heard(client).partition(b"\r\n\r\n")[2]
        self.assertEqual(
            (len(body), 0, None, None), self.row("bytes_out", "tries", "upstream_head_seconds", "upstream_seconds")
        )

    def test_again(self) -> None:
        """A request that had to be sent twice says so."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.say(client, GET)
        self.up.reset()
        self.settle()
        self.say(self.up, OK)
        self.assertEqual((200, 2), self.row("status", "tries"))

    def test_old(self) -> None:
        """The version is the client's."""
        self.client(get(version="1.0"))
        self.say(self.up, OK)
        self.assertEqual(("HTTP/1.0",), self.row("protocol"))
