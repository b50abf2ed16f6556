# -*- test-case-name: tests.app.test_share -*-
"""
What one configuration has of the proxy's stacks: its own upper halves, on the lower ones that all use together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, Protocol

from lproxy.app.lasting import Settled
from lproxy.app.parts import Parts
from lproxy.config import Config, Direction, Listen
from lproxy.discover.static import Static
from lproxy.protocols.outward import Outward
from lproxy.stack.interfaces import L, NewEndpoint, NewStack, Stack
from lproxy.target import Target
from lproxy.transport.connect import Connector

#: what a stack is known by: direction, and protocol
StackKey = tuple[Direction, str]


def owner(stack: str) -> str:
    """The protocol whose stack that is: one may have several, C{http} and C{http/2}."""
    return stack.partition("/")[0]


class Use(NamedTuple, Generic[L]):
    """
    What a configuration has of one stack.

    @ivar settled: what services keep to by it
    @ivar parts: what the stack is made of
    @ivar new_endpoint: makes its endpoints
    @ivar stack: it
    @ivar kept: whose services are kept, whether anybody asks for them or not
    """

    settled: Settled
    parts: Parts
    new_endpoint: NewEndpoint[L]
    stack: Stack[L]
    kept: list[Target]


class Whole(Protocol):
    """The proxy's stacks; see L{lproxy.app.stacks.Stacks}."""

    def use(self, share: Share, key: StackKey, plugin: Any, new_endpoint: NewEndpoint[L], /) -> Use[L]:
        """A stack of C{share}'s own."""

    def outward(self, config: Config, direction: Direction, plugin: str, connector: Connector, /) -> Outward:
        """The way out for C{plugin}'s endpoint services."""

    def compare(self, share: Share, /) -> Iterator[None]:
        """Find out what will be another by C{share}."""

    def take(self, share: Share, /) -> None:
        """Go by C{share}."""

    def leave(self, share: Share, /) -> None:
        """It is used no more."""


class Share:
    """
    One configuration's.

    @ivar static: what it says about services
    @ivar uses: its stacks
    @ivar connectors: what opens its connections, by direction
    @ivar another: of targets that are served, whether their services are to be made anew
    @ivar compared: beside which other's C{static} that is
    """

    def __init__(self, stacks: Whole, config: Config, static: Static) -> None:
        self._stacks = stacks
        self.config = config
        self.static = static
        self.uses: dict[StackKey, Use[Any]] = {}
        self.connectors: dict[Direction, Connector] = {}
        self.another: dict[Target, bool] = {}
        self.compared: Static | None = None

    def of(self, listen: Listen) -> NewStack:
        """The stacks that C{listen} shares with all of its direction, as protocols get at them."""

        def acquire(protocol: str, new_endpoint: NewEndpoint[L]) -> Stack[L]:
            key = (listen.direction, protocol)
            use = self.uses.get(key)
            if use is None:
                plugin = listen.plugins.get(owner(protocol))
                use = self.uses[key] = self._stacks.use(self, key, plugin, new_endpoint)
            return use.stack

        return acquire

    def outward(self, direction: Direction, plugin: str) -> Outward:
        """The way out for C{plugin}'s endpoint services; L{connectors} has one for the direction."""
        return self._stacks.outward(self.config, direction, plugin, self.connectors[direction])

    def compare(self) -> Iterator[None]:
        """Find out beforehand, step by step, what L{take} has to know of thousands of services."""
        return self._stacks.compare(self)

    def take(self) -> None:
        """All stacks go by this one: at once for whoever is new, and in some turns for those who are served already."""
        self._stacks.take(self)

    def close(self) -> None:
        """Let go of the stacks; those that nobody else uses are closed. Harmless to be told twice."""
        self._stacks.leave(self)
