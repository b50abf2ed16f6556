# -*- test-case-name: tests.protocols.test_plugin -*-
"""
What a protocol is to lproxy: a plugin, lproxy's own protocols included.
"""

from __future__ import annotations

from typing import Any

from twisted.plugin import IPlugin
from zope.interface import Attribute

from lproxy.protocols.runtime import Runtime
from lproxy.protocols.session import SessionFactory


class IProtocolPlugin(IPlugin):
    """
    A protocol that listeners can speak, found by Twisted's plugin system in C{lproxy.plugins}.

    What lproxy guarantees is numbered in L{lproxy.api}.
    """

    name = Attribute("the protocol's name in configuration, logs and metrics: lower case letters, digits, - and _")
    version = Attribute("the plugin's own version, shown by C{lproxy plugins}")
    detector = Attribute("a L{Detector}, or None for a protocol that is only ever configured")

    def configure(table: dict[str, Any]) -> object:
        """
        Check the plugin's own configuration table, C{{}} where the file has none.

        @return: a value for L{factory}
        @raise ValueError: naming the key, what is wrong with it and what would be right
        """

    def factory(runtime: Runtime, config: Any) -> SessionFactory:
        """
        Make the factory of a listener's sessions of this protocol.

        @param runtime: the listener, its clock, and the way to upstreams
        @param config: what L{configure} returned
        """
