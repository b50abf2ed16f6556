# -*- test-case-name: tests.protocols.http.h2.test_reference -*-
"""
Tests for L{lproxy.protocols.http.h2.reference}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.reference import Reference
from tests.protocols.http.h2.contract import BeginContract, ClientContract, ServerContract
from tests.protocols.http.h2.contract_floods import FloodContract


class BeginTests(BeginContract, SynchronousTestCase):
    """Connections on h2."""

    make = Reference


class ServerTests(ServerContract, SynchronousTestCase):
    """Servers on h2."""

    make = Reference


class ClientTests(ClientContract, SynchronousTestCase):
    """Clients on h2."""

    make = Reference


class FloodTests(FloodContract, SynchronousTestCase):
    """h2, which has no limits of its own."""

    make = Reference
