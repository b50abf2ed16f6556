# -*- test-case-name: tests.protocols.tcp.test_plugin -*-
"""
TCP as a plugin, found like everybody's.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

import lproxy
from lproxy.api import Detector, IProtocolPlugin, Runtime
from lproxy.protocols.tcp.detect import detect
from lproxy.protocols.tcp.factory import TcpFactory


@implementer(IProtocolPlugin)
class TcpPlugin:
    """Provides C{tcp}, which every listener has, last in the order of detection."""

    name = "tcp"
    version = lproxy.__version__
    detector: Detector | None = staticmethod(detect)

    def configure(self, table: dict[str, Any]) -> None:
        """TCP has no table of its own."""
        for key in table:
            raise ValueError(f"{key}: unknown key; TCP has no settings of its own")

    def factory(self, runtime: Runtime, config: None) -> TcpFactory:
        """Sessions for one listener."""
        return TcpFactory(runtime)
