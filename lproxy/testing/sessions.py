# -*- test-case-name: tests.testing.test_sessions -*-
"""
The promises of a plugin's sessions at their very beginning, as tests to mix into a test case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lproxy.api import Accepted, Session, Stream
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.testing.wire import Peer

if TYPE_CHECKING:
    from unittest import TestCase as _TestCase
else:
    _TestCase = object


class SessionContract(_TestCase):
    """
    What a session promises before a client has said much.

    Part of L{PluginContract<lproxy.testing.plugins.PluginContract>}.
    """

    plugin: Any
    conversation: bytes

    def start(self) -> ScriptedProxy:
        """A proxy around a new factory."""
        raise NotImplementedError

    def made(self, proxy: ScriptedProxy, prefix: bytes = b"") -> tuple[Peer, Stream, Session]:
        """A client, and a session that is known and has not started."""
        peer = Peer()
        stream = proxy.reactor.stream(peer, CLIENT, OURS)
        proxy.runtime.accepted(stream, self.plugin.name)
        session: Session = proxy.factory.session(Accepted(stream, self.plugin.name, prefix=prefix))
        proxy.sessions.append(session)
        return peer, stream, session

    def test_gone_before(self) -> None:
        """A client may be gone before its session starts, whatever detection has read of it: nothing is left then."""
        for prefix in (b"", self.conversation):
            proxy = self.start()
            _, stream, session = self.made(proxy, prefix)
            stream.abort()
            session.start()
            proxy.settle()
            self.assertEqual([], proxy.left())

    def test_at_once(self) -> None:
        """A session may be told to finish, or to end, as soon as it has started: it ends then, or with its client."""
        for tell in ("drain", "abort"):
            proxy = self.start()
            peer, _, session = self.made(proxy)
            session.start()
            if tell == "drain":
                session.drain()
            else:
                session.abort()
            proxy.settle()
            peer.hang_up()
            proxy.settle()
            for upstream in proxy.connector.upstreams:
                upstream.hang_up()
            proxy.settle()
            self.assertEqual([], proxy.left(), tell)
