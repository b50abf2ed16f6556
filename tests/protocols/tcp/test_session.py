# -*- test-case-name: tests.protocols.tcp.test_session -*-
"""
Tests for L{lproxy.protocols.tcp.session}: whatever happens, bytes arrive in order, the lease ends once and the session
is gone.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Accepted, Stream
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Metadata
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.testing.wire import Peer
from lproxy.transport.proxy_protocol import v2

KIB = 1024


class SessionMixin(SynchronousTestCase):
    """A proxy with one upstream."""

    target = "upstream.test:9000"

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin(), target=self.target)
        self.connector = self.proxy.connector

    def wait(self) -> None:
        """Upstreams keep us waiting from now on."""
        self.connector.mode = "wait"

    @property
    def session(self) -> Any:
        (session,) = self.proxy.sessions
        return session

    @property
    def upstream(self) -> Peer:
        return self.connector.upstreams[-1]

    def begin(self, stream: Stream, **accepted: Any) -> None:
        """C{stream} is TCP's."""
        session = self.proxy.factory.session(Accepted(stream, "tcp", **accepted))
        self.proxy.sessions.append(session)
        session.start()
        self.proxy.settle()

    def assert_over(self, **record: Any) -> None:
        """Nothing is left, and the access log has one line of it."""
        self.assertEqual([], self.proxy.left())
        (row,) = self.proxy.records
        self.assertEqual({**row, **record}, row)


class RelayTests(SessionMixin):
    """What the client says the upstream hears, and the other way round."""

    def test_conversation(self) -> None:
        """Both ways, from what detection has read to the last byte."""
        client = self.proxy.client(b"first")
        client.say(b"second")
        self.proxy.settle()
        self.upstream.say(b"answer")
        self.proxy.settle()
        self.assertEqual((b"firstsecond", b"answer"), (self.upstream.heard, client.heard))
        self.assertEqual("relaying", self.session.describe()["state"])
        client.hang_up()
        self.proxy.settle()
        self.assertEqual(("eof", ""), (self.upstream.ended, client.ended))
        self.upstream.say(b"last")
        self.upstream.hang_up()
        self.proxy.settle()
        self.assertEqual((b"answerlast", "closed", "closed"), (client.heard, client.ended, self.upstream.ended))
        # replayed bytes were read by whoever looked at them, before the stream was this one
        self.assert_over(bytes_in=6, bytes_out=10, flags="", errno="", upstream="10.0.0.9:9000", protocol="tcp")

    def test_told(self) -> None:
        """An upstream that is told of clients hears of this one before its first byte, and the client nothing of it."""
        self.proxy = ScriptedProxy(TcpPlugin(), target=self.target, metadata=Metadata(proxy_protocol="v2"))
        self.connector = self.proxy.connector
        client = self.proxy.client(b"first")
        self.proxy.settle()
        self.assertEqual((v2.build(CLIENT, OURS) + b"first", b""), (self.upstream.heard, client.heard))
        client.reset()
        self.proxy.settle()
        self.assert_over(upstream="10.0.0.9:9000")

    def test_while_connecting(self) -> None:
        """What is said before there is an upstream goes first, in order."""
        self.wait()
        client = self.proxy.client(b"a")
        for word in (b"b", b"c"):
            client.say(word)
            self.proxy.settle()
        client.say(b"d")
        self.connector.accept()
        self.proxy.settle()
        self.assertEqual(b"abcd", self.upstream.heard)

    def test_bounded(self) -> None:
        """Of that, limits.buffer is kept, and one read more; the rest waits in the kernel, and arrives."""
        self.wait()
        data = os.urandom(300 * KIB)
        client = self.proxy.client(data[:10])
        client.say(data[10:])
        self.proxy.settle()
        kept = len(data) - client.unread
        buffer = self.proxy.runtime.limits.buffer
        self.assertGreaterEqual(kept, buffer)
        self.assertLessEqual(kept, buffer + 64 * KIB + 10)
        self.assertGreater(client.unread, 100 * KIB)
        self.connector.accept()
        self.proxy.settle()
        self.assertEqual(data, self.upstream.heard)

    def test_eof_while_connecting(self) -> None:
        """The end of what the client says is passed on after it."""
        self.wait()
        client = self.proxy.client()
        client.say(b"all")
        client.hang_up()
        self.proxy.settle()
        self.connector.accept()
        self.proxy.settle()
        self.assertEqual((b"all", "eof"), (self.upstream.heard, self.upstream.ended))
        self.upstream.say(b"answer")
        self.upstream.hang_up()
        self.proxy.settle()
        self.assertEqual(b"answer", client.heard)
        self.assert_over()

    def test_eof_in_detection(self) -> None:
        """Also where detection has read the end."""
        for self.connector.mode in ("accept", "wait"):
            client = self.proxy.client(b"all", eof=True)
            client.hang_up()
            if self.connector.mode == "wait":
                self.connector.accept()
            self.proxy.settle()
            self.assertEqual((b"all", "eof"), (self.upstream.heard, self.upstream.ended))
            self.upstream.hang_up()
            self.proxy.settle()
        self.assertEqual([], self.proxy.left())

    def test_counted(self) -> None:
        """Both connections are counted, each under its own labels."""
        client = self.proxy.client()
        client.say(b"abc")
        self.proxy.settle()
        dst = self.proxy.counted["outbound", "dst", "10.0.0.2", "10.0.0.9:9000", "tcp"]
        src = self.proxy.counted["outbound", "src", "10.0.0.1", "10.0.0.2:4140", "tcp"]
        self.assertEqual([(3, 0), (0, 3)], [src.totals(), dst.totals()])


class ResetTests(SessionMixin):
    """Whoever goes, and whenever: the other side is told, and nothing is left."""

    def test_client_while_connecting(self) -> None:
        """The connect is cancelled."""
        self.wait()
        client = self.proxy.client(b"x")
        client.reset()
        self.proxy.settle()
        self.assertEqual((1, []), (self.connector.cancelled, self.connector.upstreams))
        self.assert_over(errno="ECONNRESET", upstream=None, flags="")

    def test_client_while_connecting_after_eof(self) -> None:
        """Also of a client that had said all before."""
        self.wait()
        client = self.proxy.client(b"x")
        client.hang_up()
        self.proxy.settle()
        client.reset()
        self.proxy.settle()
        self.assertEqual(1, self.connector.cancelled)
        self.assert_over(errno="ECONNRESET")

    def test_client_while_full(self) -> None:
        """And of one that is not read any more."""
        self.wait()
        client = self.proxy.client(bytes(64 * KIB))
        client.say(b"x")
        self.proxy.settle()
        self.assertEqual(1, client.unread)
        client.reset()
        self.proxy.settle()
        self.assertEqual(1, self.connector.cancelled)
        self.assert_over(errno="ECONNRESET")

    def test_late_upstream(self) -> None:
        """An upstream that is connected in the turn in which its client goes is closed."""
        self.wait()
        self.proxy.client(b"x")
        self.connector.stubborn = True
        (stream,) = self.proxy.reactor.streams
        stream.abort()
        self.proxy.settle()
        self.assertEqual("reset", self.upstream.ended)
        self.assert_over()

    def test_client(self) -> None:
        """A client's reset is the upstream's."""
        client = self.proxy.client(b"x")
        client.reset()
        self.proxy.settle()
        self.assertEqual("reset", self.upstream.ended)
        self.assert_over(errno="ECONNRESET")

    def test_upstream(self) -> None:
        """An upstream's reset is the client's."""
        client = self.proxy.client(b"x")
        self.upstream.reset()
        self.proxy.settle()
        self.assertEqual("reset", client.ended)
        self.assert_over(errno="ECONNABORTED")

    def test_upstream_at_once(self) -> None:
        """An upstream that is gone before it is written to."""
        self.wait()
        client = self.proxy.client(b"x")
        endpoint, d = self.connector.waiting.pop()
        peer = Peer()
        peer.reset()
        self.connector.upstreams.append(peer)
        d.callback(self.proxy.reactor.stream(peer, (endpoint.host, endpoint.port), OURS))
        self.proxy.settle()
        self.assertEqual("reset", client.ended)
        self.assert_over()

    def test_both(self) -> None:
        """Both in one turn."""
        client = self.proxy.client(b"x")
        client.reset()
        self.upstream.reset()
        self.proxy.settle()
        self.assert_over()


class RefusedTests(SessionMixin):
    """Without an upstream the client is reset, and the log says why."""

    def test_refused(self) -> None:
        """Who, where to, how long it took, and what the kernel said."""
        self.wait()
        client = self.proxy.client(b"x")
        self.proxy.settle(0.5)
        self.connector.refuse()
        self.proxy.settle()
        self.assertEqual("reset", client.ended)
        self.assertEqual(
            [
                "listener scripted: tcp connection to upstream.test:9000 closed after 0.500 s: "
                "connect: 10.0.0.9:9000 refused"
            ],
            self.proxy.warnings,
        )
        self.assert_over(flags="UF", upstream="10.0.0.9:9000", errno="ECONNABORTED")

    def test_refused_at_once(self) -> None:
        """Also within the call, with what detection has read still to be given."""
        self.connector.mode = "refuse"
        client = self.proxy.client(b"x", eof=True)
        self.proxy.settle()
        self.assertEqual("reset", client.ended)
        self.assert_over(flags="UF")

    def test_timed_out(self) -> None:
        """The flag tells what it was."""
        self.proxy.fail(AcquireTimedOut(Authority("upstream.test", 9000), 3.0))
        self.proxy.client(b"x")
        self.proxy.settle()
        self.assert_over(flags="UT")

    def test_unexpected(self) -> None:
        """What must not happen is told as a crash of the protocol, not as a line of the log."""
        self.proxy.fail(ZeroDivisionError())
        client = self.proxy.client(b"x")
        self.proxy.settle()
        self.assertEqual("reset", client.ended)
        self.assertEqual([ZeroDivisionError], [failure.type for failure in self.proxy.crashes])
        self.proxy.crashes.clear()
        self.assertEqual([], self.proxy.warnings)
        self.assert_over(flags="BUG")


class NowhereTests(SessionMixin):
    """A listener for redirected connections refuses one that was not."""

    target = "authority"

    def test_refused(self) -> None:
        """It is closed, and the log says what to change."""
        client = self.proxy.client(b"\x00")
        self.proxy.settle()
        self.assertEqual("reset", client.ended)
        self.assertEqual(
            [
                "listener scripted: a tcp connection from 10.0.0.1 was not redirected here and target = 'authority' "
                'names no address for it: closed. Set target = "host:port" or "service:NAME", or redirect with '
                "iptables."
            ],
            self.proxy.warnings,
        )
        self.assert_over(flags="NR", target=None, upstream=None)

    def test_redirected(self) -> None:
        """One that was redirected goes where it was going."""
        self.begin(self.proxy.reactor.stream(Peer(), CLIENT, OURS, ("10.9.9.9", 25)), prefix=b"x")
        self.assertEqual((b"x", "10.9.9.9:25"), (self.upstream.heard, self.session.describe()["target"]))


class DialledTests(SessionMixin):
    """A connection that was opened while the client was silent is used."""

    def setUp(self) -> None:
        super().setUp()
        self.peer = Peer()
        self.stream: Stream = self.proxy.reactor.stream(self.peer, CLIENT, OURS)
        dial = self.proxy.factory.dial(self.stream)
        self.dialled: Any = self.successResultOf(dial)
        self.spoken = 0
        self.dialled.listen(self.spoke)

    def spoke(self) -> None:
        self.spoken += 1

    def use(self, prefix: bytes = b"", eof: bool = False) -> None:
        """The client's connection is TCP's, and so is the one that was opened meanwhile."""
        self.begin(self.stream, prefix=prefix, eof=eof, dialled=self.dialled)

    def end(self) -> None:
        self.peer.hang_up()
        self.upstream.hang_up()
        self.proxy.settle()
        self.assertEqual(("closed", "closed"), (self.peer.ended, self.upstream.ended))
        self.assert_over()

    def test_greeting(self) -> None:
        """What the upstream said before goes first, and what it said meanwhile follows."""
        self.upstream.say(b"220 ")
        self.proxy.settle()
        self.upstream.say(b"hello")
        self.proxy.settle()
        self.assertEqual((1, b""), (self.spoken, self.peer.heard))
        self.use()
        self.assertEqual(b"220 hello", self.peer.heard)
        self.peer.say(b"HELO")
        self.proxy.settle()
        self.assertEqual(b"HELO", self.upstream.heard)
        self.assertEqual(1, len(self.connector.upstreams))
        self.end()

    def test_client_first(self) -> None:
        """What the client said first goes first."""
        self.use(b"hello")
        self.upstream.say(b"answer")
        self.proxy.settle()
        self.assertEqual((b"hello", b"answer"), (self.upstream.heard, self.peer.heard))
        self.end()

    def test_both(self) -> None:
        """Where both spoke, both are heard."""
        self.upstream.say(b"220")
        self.proxy.settle()
        self.use(b"hello")
        self.assertEqual((b"hello", b"220"), (self.upstream.heard, self.peer.heard))
        self.end()

    def test_client_ended(self) -> None:
        """The end of a client that said nothing is passed on."""
        self.peer.hang_up()
        self.use(eof=True)
        self.assertEqual("eof", self.upstream.ended)
        self.upstream.say(b"bye")
        self.proxy.settle()
        self.assertEqual(b"bye", self.peer.heard)
        self.end()

    def test_upstream_ended(self) -> None:
        """An upstream that hangs up without a word has spoken: the client hears of it."""
        self.upstream.hang_up()
        self.proxy.settle()
        self.assertEqual(1, self.spoken)
        self.use()
        self.assertEqual("eof", self.peer.ended)
        self.end()

    def test_upstream_said_and_ended(self) -> None:
        """What it said comes before its end."""
        self.upstream.say(b"go away")
        self.upstream.hang_up()
        self.proxy.settle()
        self.use()
        self.assertEqual((b"go away", "eof"), (self.peer.heard, self.peer.ended))
        self.end()

    def test_upstream_reset(self) -> None:
        """So has one that resets; the client is reset, too."""
        self.upstream.reset()
        self.proxy.settle()
        self.assertEqual(1, self.spoken)
        self.use()
        self.assertEqual("reset", self.peer.ended)
        self.assert_over(upstream="10.0.0.9:9000")

    def test_upstream_reset_after_greeting(self) -> None:
        """A reset that comes after the greeting is the client's as well, once."""
        self.upstream.say(b"220")
        self.proxy.settle()
        self.upstream.reset()
        self.proxy.settle()
        self.assertEqual(1, self.spoken)
        self.use()
        self.assertEqual("reset", self.peer.ended)
        self.assert_over()

    def test_given_up(self) -> None:
        """One that is not needed is closed, and says nothing."""
        self.dialled.close()
        self.proxy.settle()
        self.assertEqual("reset", self.upstream.ended)
        self.stream.abort()
        self.proxy.settle()
        self.assertEqual([], self.proxy.left())

    def test_given_up_unheard(self) -> None:
        """Also one that nobody listened to."""
        second = self.successResultOf(self.proxy.factory.dial(self.stream))
        second.close()
        self.dialled.close()
        self.proxy.settle()
        self.assertEqual(["reset", "reset"], [peer.ended for peer in self.connector.upstreams])
        self.assertEqual([], self.proxy.left())

    def test_client_gone(self) -> None:
        """Where the client is gone before its session starts, what was opened for it is closed, once."""
        self.stream.abort()
        self.use()
        self.assertEqual(("reset", [1]), (self.upstream.ended, [lease.closed for lease in self.proxy.leases]))
        self.assert_over(upstream=None)

    def test_aborted(self) -> None:
        """Aborted, both are reset, and the lease ends once."""
        self.use(b"x")
        self.session.abort()
        self.proxy.settle()
        self.assertEqual(("reset", "reset"), (self.peer.ended, self.upstream.ended))
        self.assert_over(flags="SD", upstream="10.0.0.9:9000")

    def test_never_started(self) -> None:
        """A session that is made and never started uses nothing, and closes nothing that is not its own."""
        self.proxy.factory.session(Accepted(self.stream, "tcp", dialled=self.dialled))
        self.proxy.settle()
        self.assertEqual("", self.upstream.ended)
        self.dialled.close()
        self.stream.abort()
        self.assertEqual([], self.proxy.left())


class ShutdownTests(SessionMixin):
    """A byte stream ends when it ends, or is ended."""

    def test_drain(self) -> None:
        """Draining waits for it."""
        client = self.proxy.client(b"x")
        self.session.drain()
        self.proxy.settle(100)
        self.upstream.say(b"y")
        self.proxy.settle()
        self.assertEqual((b"y", ""), (client.heard, client.ended))

    def test_abort(self) -> None:
        """Aborted while it relays, both sides are reset."""
        client = self.proxy.client(b"x")
        session = self.session
        session.abort()
        session.abort()
        self.proxy.settle()
        self.assertEqual(("reset", "reset"), (client.ended, self.upstream.ended))
        self.assert_over(flags="SD")

    def test_abort_while_connecting(self) -> None:
        """Aborted before, the connect is cancelled."""
        self.wait()
        client = self.proxy.client(b"x")
        self.session.abort()
        self.proxy.settle()
        self.assertEqual(("reset", 1), (client.ended, self.connector.cancelled))
        self.assert_over(flags="SD", upstream=None)

    def test_last_of_all(self) -> None:
        """When the proxy learns that it is over, its lease has ended and the access log has its line."""
        seen: list[tuple[int, int]] = []
        sessions: Any = self.proxy.runtime.sessions
        remove = sessions.remove
        self.patch(sessions, "remove", lambda s: (seen.append((self.proxy.open, len(self.proxy.records))), remove(s)))
        client = self.proxy.client(b"x")
        client.reset()
        self.proxy.settle()
        self.assertEqual([(0, 1)], seen)

    def test_no_access_log(self) -> None:
        """Where there is none, none is written."""
        runtime = replace(self.proxy.runtime, access=None)
        factory: Any = TcpPlugin().factory(runtime, None)
        stream = self.proxy.reactor.stream(Peer(), CLIENT, OURS)
        factory.session(Accepted(stream, "tcp", prefix=b"x")).start()
        stream.abort()
        self.proxy.settle()
        self.assertEqual([], self.proxy.records)
        self.assertEqual([], self.proxy.left())

    def test_shown(self) -> None:
        """A row of /connections."""
        self.wait()
        self.proxy.client(b"x")
        self.proxy.settle(0.25)
        row = self.session.describe()
        self.assertEqual(
            {
                "listener": "scripted",
                "protocol": "tcp",
                "client": "10.0.0.1:40000",
                "target": "upstream.test:9000",
                "upstream": None,
                "state": "acquiring",
                "seconds": 0.25,
                "bytes_in": 0,
                "bytes_out": 0,
            },
            row,
        )
        self.assertIn("<TcpSession tcp to upstream.test:9000 ", repr(self.session))

    def test_access_log_fails(self) -> None:
        """Where the access log cannot be written, the session is over all the same."""

        def access(row: dict[str, Any]) -> None:
            raise OSError("no disk")

        factory: Any = TcpPlugin().factory(replace(self.proxy.runtime, access=access), None)
        stream = self.proxy.reactor.stream(Peer(), CLIENT, OURS)
        self.proxy.runtime.accepted(stream, "tcp")
        session = factory.session(Accepted(stream, "tcp", prefix=b"x"))
        self.proxy.sessions.append(session)
        session.start()
        stream.abort()
        self.proxy.settle()
        self.assertEqual([OSError], [failure.type for failure in self.proxy.crashes])
        self.proxy.crashes.clear()
        self.assertEqual([], self.proxy.left())
