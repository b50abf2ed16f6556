# -*- test-case-name: tests.protocols.http.h2.test_engines -*-
"""
Tests for L{lproxy.protocols.http.h2.engines}.
"""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Http2Engine
from lproxy.protocols.http.h2.engines import make_engine
from lproxy.protocols.http.h2.lane import Lane
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.reference import Reference
from tests.protocols.http.h2.harness import ANSWER, POST, Recorder


class MakeTests(SynchronousTestCase):
    """Engines by name."""

    def test_kinds(self) -> None:
        """Each name is one of them."""
        self.assertEqual(("lane", "reference"), get_args(Http2Engine))
        for kind, engine in (("lane", Lane), ("reference", Reference)):
            self.assertIsInstance(make_engine(kind, True, Recorder(), Limits(), lambda: 0.0), engine)

    def test_together(self) -> None:
        """Any two understand each other: a call with bodies both ways, larger than all windows."""
        for one in get_args(Http2Engine):
            for other in get_args(Http2Engine):
                self.call(one, other)

    def call(self, one: Http2Engine, other: Http2Engine) -> None:
        """One."""
        ours, theirs = Recorder(), Recorder()
        client = make_engine(one, True, ours, Limits(), lambda: 0.0)
        server = make_engine(other, False, theirs, Limits(), lambda: 0.0)

        def pump() -> None:
            while (said := client.take()) + (answered := server.take()):
                server.receive(said)
                client.receive(answered)

        pump()
        body = bytes(range(256)) * 1000
        stream_id = client.request([*POST, (b"content-length", b"%d" % len(body)), (b"cookie", b"a=1; b=2")], False)
        left = body
        while left:
            left = left[client.send_data(stream_id, left, True) :]
            pump()
            server.consumed(stream_id, sum(len(call[2]) for call in theirs.named("data")[-5:]))
            pump()
        self.assertEqual(body, b"".join([call[2] for call in theirs.named("data")]))
        self.assertIn((b"cookie", b"a=1; b=2"), theirs.heads[stream_id].fields)
        server.send_headers(stream_id, [*ANSWER, (b"x", b"y")], False)
        left = body
        while left:
            left = left[server.send_data(stream_id, left, False) :]
            pump()
            client.consumed(stream_id, sum(len(call[2]) for call in ours.named("data")[-5:]))
            pump()
        server.send_headers(stream_id, [(b"grpc-status", b"0")], True)
        pump()
        self.assertEqual(body, b"".join([call[2] for call in ours.named("data")]))
        self.assertEqual(("trailers", stream_id, [(b"grpc-status", b"0")]), ours.told[-1])
        self.assertEqual((0, 0), (client.streams, server.streams))
