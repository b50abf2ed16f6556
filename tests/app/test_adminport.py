# -*- test-case-name: tests.app.test_adminport -*-
"""
Tests for L{lproxy.app.adminport}.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as real
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lproxy.app.adminport import AdminPort
from lproxy.app.binder import Direct
from lproxy.app.own import OwnAddresses
from lproxy.app.sockets import CannotListen

reactor: Any = real


class AdminPortTests(TestCase):
    """Bound, then served, then let go of."""

    def setUp(self) -> None:
        self.own = OwnAddresses()
        self.port = AdminPort(self.own, Direct(reactor), reactor)
        self.addCleanup(self.port.close)

    def serve(self) -> tuple[str, int]:
        factory = Factory()
        factory.noisy = False
        self.port.open(factory)
        assert self.port.address is not None
        return self.port.address

    async def test_served(self) -> None:
        """From when it is served its address is our own, until it is closed; then it can be had by others."""
        self.port.bind("127.0.0.1:0")
        self.assertEqual(("127.0.0.1", None), (self.port.host(), self.port.address))
        address = self.serve()
        self.assertTrue(self.own.contains(*address))
        socket.create_connection(address).close()
        await self.port.close()
        self.assertIsNone(self.port.address)
        self.assertFalse(self.own.contains(*address))
        socket.create_server(address).close()

    async def test_exchanged(self) -> None:
        """Another site is served to whoever connects then, on the same socket; both are let go of."""
        self.port.bind("127.0.0.1:0")
        address = self.serve()
        told: list[str] = []

        class Site(Factory):
            noisy = False

            def doStart(self) -> None:
                told.append("started")

            def doStop(self) -> None:
                told.append("stopped")

            def buildProtocol(self, addr: object) -> None:
                told.append("asked")

        self.port.exchange(Site())
        with socket.create_connection(address) as client:
            client.setblocking(False)
            while "asked" not in told:
                await deferLater(reactor, 0.001)
        self.assertEqual(address, self.port.address)
        await self.port.close()
        self.assertEqual(["started", "asked", "stopped"], told)

    async def test_given(self) -> None:
        """Another process has the address: each site is left, that of connections made before an exchange, too."""
        self.port.bind("127.0.0.1:0")
        left: list[str] = []

        class Site(Factory):
            noisy = False

            def leave(self) -> None:
                left.append(repr(self))

        first, second = Site(), Site()
        self.port.open(first)
        self.port.exchange(second)
        self.port.give()
        self.assertEqual(2, len(left))
        self.assertIsNone(self.port.address)

    async def test_never_served(self) -> None:
        """What was bound and not served is closed as well."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = "{}:{}".format(*other.getsockname())
        self.port.bind(address)
        await self.port.close()
        self.port.bind(address)


class NoneTests(SynchronousTestCase):
    """There need not be one."""

    def test_none(self) -> None:
        """Without an address nothing is bound, served or closed."""
        port = AdminPort(OwnAddresses(), Direct(reactor), reactor)
        port.bind("")
        port.open(Factory())
        self.assertEqual((None, None), (port.host(), port.address))
        self.successResultOf(port.close())

    def test_taken(self) -> None:
        """One that is taken is an error that says whose it would have been."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = "{}:{}".format(*other.getsockname())
            error = self.assertRaises(CannotListen, AdminPort(OwnAddresses(), Direct(reactor), reactor).bind, address)
        self.assertIn(f"admin: cannot listen on {address}: Address already in use", str(error))
