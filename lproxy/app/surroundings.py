# -*- test-case-name: tests.app.test_surroundings -*-
"""
What all assemblies of a process have around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lproxy.app.own import OwnAddresses
from lproxy.app.plugins import Found
from lproxy.app.profiles import Shelf
from lproxy.app.sockets import Sockets
from lproxy.app.stacks import Stacks
from lproxy.errors import Warned
from lproxy.identity.in_use import InUse
from lproxy.metrics.registry import Metrics
from lproxy.protocols.outward import Crashed
from lproxy.protocols.taps import Taps
from lproxy.stack.rates import Rates
from lproxy.transport.hub import Hub


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What assemblies share, as it is the process's and not a configuration's.

    @ivar plugins: the protocols that were found
    @ivar stacks: the ways to services, which go on from one to the next
    @ivar warn: a rate-limited log, by kind
    @ivar crashed: told of what a protocol raised, by its name
    @ivar remembered: what factories leave for those that come after them, by listener's name and protocol
    @ivar shelf: files of profiles that need not be read again
    @ivar taps: whoever watches what ends
    @ivar rates: how many requests there may be, which a reload leaves as it is
    @ivar contexts: those of TLS, each for as long as somebody's certificates, anchors and settings are its own
    """

    reactor: Any
    hub: Hub
    plugins: list[Found]
    metrics: Metrics
    sockets: Sockets
    stacks: Stacks
    own: OwnAddresses
    warn: Warned
    crashed: Crashed
    taps: Taps = field(default_factory=Taps)
    rates: Rates = field(default_factory=Rates)
    remembered: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)
    contexts: InUse = field(default_factory=InUse)
