# -*- test-case-name: tests.test_packaging -*-
"""
The plugin itself: what lproxy asks of a protocol.

lproxy tells memo from everything else, names it in metrics and logs, and forwards it to the listener's target. The
forwarding is TCP's; a protocol that has to be understood on the way brings a factory and sessions of its own.
"""

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.plugin import IPlugin
from zope.interface import implementer

import lproxy_memo
from lproxy.interfaces import IProtocolPlugin
from lproxy_memo.detect import detect


@implementer(IPlugin, IProtocolPlugin)
class Memo:
    """Memo needs no settings."""

    name = "memo"
    version = lproxy_memo.__version__
    detector = staticmethod(detect)

    def configure(self, table: dict[str, Any]) -> None:
        """Refuse whatever is in the table."""
        for key in table:
            raise ValueError(f"{key}: memo has no such setting, nor any other; leave it out")

    def factory(self, runtime: Any, config: None) -> IProtocolFactory:
        """Sessions for one listener."""
        # here, not above: to list a plugin should cost no more than its name and version
        from lproxy.protocols.tcp.factory import TcpFactory

        return TcpFactory(runtime, self.name, detect)
