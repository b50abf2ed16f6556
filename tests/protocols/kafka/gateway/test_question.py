# -*- test-case-name: tests.protocols.kafka.gateway.test_question -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.question}: one request, one response or none, and nothing left over.
"""

from __future__ import annotations

from kafka.protocol.metadata import ApiVersionsRequest
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import API_VERSIONS
from lproxy.protocols.kafka.gateway.question import LARGEST, TIMEOUT, Question, asked
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.target import Metadata
from lproxy.testing import Peer, ScriptedProxy
from lproxy.transport.proxy_protocol import v2
from tests.protocols.kafka.scene import framed, request


class QuestionTests(SynchronousTestCase):
    """What becomes of it."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(KafkaPlugin())
        self.done: list[bytes | None] = []
        self.request = asked(API_VERSIONS, 0)

    def ask(self) -> Peer:
        """The broker's side."""
        lease = self.successResultOf(self.proxy.factory.acquire.acquire(self.proxy.runtime.fixed))
        self.question = Question(lease, self.request, self.done.append, self.proxy.reactor)
        self.question.start()
        self.proxy.settle()
        return self.proxy.connector.upstreams[-1]

    def over(self, response: bytes | None) -> None:
        """That was the response, told once, and there is nothing left."""
        self.proxy.settle(TIMEOUT)
        self.assertEqual([response], self.done)
        self.assertEqual([], self.proxy.left())
        self.done.clear()

    def test_request(self) -> None:
        """It is a request as others make it."""
        self.assertEqual(request(ApiVersionsRequest[0](), 0, "lproxy"), self.request)

    def test_told(self) -> None:
        """A broker that is told of clients hears that this is none."""
        self.proxy = ScriptedProxy(KafkaPlugin(), metadata=Metadata(proxy_protocol="v2"))
        self.assertEqual(v2.build_local() + self.request, self.ask().heard)
        self.question.cancel()

    def test_response(self) -> None:
        """The body is told, however it comes, and the connection closed."""
        for cuts in ((), (1,), (4,), (7,), (8,), (9,), (3, 9)):
            broker = self.ask()
            self.assertEqual(self.request, broker.heard)
            said, begin = framed(bytes(4) + b"body"), 0
            for cut in (*cuts, len(said)):
                broker.say(said[begin:cut])
                self.proxy.settle()
                begin = cut
            self.over(b"body")

    def test_none(self) -> None:
        """A broker that ends, breaks or says nothing has no response; nor has one with another's."""
        for said in (
            b"",
            framed(b"\0\0\0\1body"),
            b"\xff\xff\xff\xff",
            b"\0\0\0\3",
            (LARGEST + 1).to_bytes(4, "big"),
            b"\x15\3\3\0\2",
        ):
            broker = self.ask()
            broker.say(said)
            self.over(None)
        for way in (Peer.hang_up, Peer.reset):
            way(self.ask())
            self.over(None)

    def test_cancelled(self) -> None:
        """Nobody is told anything."""
        broker = self.ask()
        self.assertEqual(("lproxy", ""), self.question.names())
        self.assertEqual(1, self.question.in_flight())
        for _ in range(2):
            self.question.cancel()
        broker.say(framed(bytes(4)))
        self.proxy.settle(TIMEOUT)
        self.assertEqual(([], []), (self.done, self.proxy.left()))
