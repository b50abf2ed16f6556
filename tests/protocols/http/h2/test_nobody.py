# -*- test-case-name: tests.protocols.http.h2.test_nobody -*-
"""
L{lproxy.protocols.http.h2.nobody}: an engine whose connection is gone.
"""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Http2Engine
from lproxy.protocols.http.h2.engine import PREFACE, Head
from lproxy.protocols.http.h2.engines import make_engine
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.nobody import NOBODY
from lproxy.protocols.http.message import Headers
from tests.protocols.http.h2.case import frame
from tests.protocols.http.h2.harness import Recorder

#: a request without a body, and what it is answered by this side's peer with
GET = frame(1, 5, 1, b"\x82\x86\x84\x41\x01a")


class NobodyTests(SynchronousTestCase):
    """Both engines."""

    def test_leave(self) -> None:
        """From then on the handler hears nothing, not even of what was read with it."""
        for kind in get_args(Http2Engine):
            handler = Recorder()
            engine = make_engine(kind, False, handler, Limits(), lambda: 0.0)
            handler.on["headers"] = lambda *said, engine=engine: engine.leave()
            engine.receive(PREFACE + frame(4, 0, 0) + GET + GET.replace(b"\0\0\0\1", b"\0\0\0\3"))
            self.assertEqual(["headers"], [told[0] for told in handler.told if told[0] != "settings"])

    def test_all(self) -> None:
        """Whatever it is told."""
        fields: Headers = []
        NOBODY.headers(1, Head(), True)
        NOBODY.data(1, b"", True)
        NOBODY.trailers(1, fields)
        NOBODY.oversized(1, True)
        NOBODY.stream_reset(1, 0)
        NOBODY.refused(1, 0, "", "")
        NOBODY.window(1)
        NOBODY.settings()
        NOBODY.ping_acked(b"")
        NOBODY.goaway(0, 0, b"")
