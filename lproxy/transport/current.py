# -*- test-case-name: tests.transport.test_current -*-
"""
The connector of the moment, for those that outlive a configuration: what they open is opened as the present one says.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from lproxy.target import Endpoint, Metadata
from lproxy.transport.connect import Connector
from lproxy.transport.stream import Stream


class CurrentConnector(Connector):
    """
    A L{Connector}.

    @ivar inner: which one it is; whoever sets it closes the one before when its own time has come
    """

    def __init__(self, inner: Connector) -> None:
        self.inner: Connector = inner

    def connect(self, endpoint: Endpoint, metadata: Metadata) -> Deferred[Stream]:
        """As it does."""
        return self.inner.connect(endpoint, metadata)

    def try_connect(self, endpoint: Endpoint, metadata: Metadata) -> Stream | None:
        """As it does."""
        return self.inner.try_connect(endpoint, metadata)

    def close(self) -> None:
        """It is not ours to close."""
