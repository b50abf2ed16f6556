# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
The plugin itself: what lproxy asks of a protocol.

lproxy tells memo from everything else, names it in metrics and logs, and forwards it to the listener's target.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

import lproxy_memo
from lproxy.interfaces import IProtocolPlugin
from lproxy_memo.detect import detect


@implementer(IProtocolPlugin)
class Memo:
    """Memo, with one setting: C{boards}, those that may be asked for, all where it is not given."""

    name = "memo"
    version = lproxy_memo.__version__
    detector = staticmethod(detect)

    def configure(self, table: dict[str, Any]) -> frozenset[str]:
        """Check C{[memo]}."""
        for key in table:
            if key != "boards":
                raise ValueError(f"{key}: memo has no such setting; there is only boards")
        boards = table.get("boards", [])
        if not isinstance(boards, list) or not all(isinstance(board, str) for board in boards):
            raise ValueError(f'boards: {boards!r} is no list of names; write boards = ["kitchen", "office"]')
        return frozenset(boards)

    def factory(self, runtime: Any, config: frozenset[str]) -> IProtocolFactory:
        """Sessions for one listener."""
        # here, not above: to list a plugin should cost no more than its name and version
        from lproxy.protocols.tcp.factory import TcpFactory
        from lproxy_memo.session import MemoFactory

        forward = TcpFactory(runtime, self.name)
        # to forward all that was detected, this alone would do: return forward
        return MemoFactory(runtime, config, forward) if config else forward
