# -*- test-case-name: tests.test_interfaces -*-
"""
What a plugin author implements and what lproxy promises in return. C{docs/plugins.rst} is the guided tour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.plugin import IPlugin
from zope.interface import Attribute


@dataclass(frozen=True, slots=True)
class Match:
    """It is this protocol. Final, whatever bytes follow."""

    #: which form of it, for logs: C{HTTP/1}, C{HTTP/2}, ...
    variant: str = ""
    #: whether the protocol's own factory can serve it. What it can only recognise is forwarded as TCP, by its name
    spoken: bool = True


@dataclass(frozen=True, slots=True)
class NoMatch:
    """It is not, and no bytes that follow can change that."""


@dataclass(frozen=True, slots=True)
class NeedMore:
    """It cannot be told from these bytes."""

    #: total length of the prefix, in bytes, below which asking again is useless
    at_least: int = 1


Verdict = Match | NoMatch | NeedMore
Detector = Callable[[bytes], Verdict]


class IProtocolPlugin(IPlugin):
    """
    A protocol that listeners can speak, found by Twisted's plugin system in C{lproxy.plugins}.

    lproxy guarantees:

     1. C{configure} is called before C{factory}, once for the file's own table and once for each listener that
        overrides it; what it returns is passed to C{factory} unchanged. (To see whether the plugin works at all,
        C{configure} is also called with an empty table, and C{detector} with no bytes, when plugins are looked for.)
     2. C{factory} is called once for each listener that names the protocol, before the listener opens.
     3. C{detector} is called with every byte that the client has sent so far, at most C{limits.detect} of them,
        and never again for a connection after an answer other than L{NeedMore}.
     4. The session's C{dataReceived} first gets the very bytes that the detector saw, then the rest, in order.
     5. An exception in any of these ends the one connection (or, in C{configure} and C{factory}, names the plugin in
        the configuration's errors). It is logged once with the plugin's name and counted in C{plugin_errors_total}.
    """

    name = Attribute("the protocol's name in configuration, logs and metrics: lower case letters, digits, - and _")
    version = Attribute("the plugin's own version, shown by C{lproxy plugins}")
    detector = Attribute("a L{Detector}, or None for a protocol that is only ever configured")

    def configure(table: dict[str, Any]) -> Any:
        """
        Check the plugin's own configuration table, C{{}} where the file has none.

        @return: a value for L{factory}
        @raise ValueError: naming the key, what is wrong with it and what would be right
        """

    def factory(runtime: Any, config: Any) -> IProtocolFactory:
        """
        Make the factory of a listener's sessions of this protocol.

        @param runtime: L{lproxy.protocols.runtime.Runtime}: the listener, its clock, and the way to upstreams
        @param config: what L{configure} returned
        """
