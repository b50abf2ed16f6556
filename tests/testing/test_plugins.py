# -*- test-case-name: tests.testing.test_plugins -*-
"""
Tests for L{lproxy.testing.plugins}: the built-in protocols keep the promises, and plugins that do not are found out.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.plugin import HttpPlugin
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import PluginContract


class TcpTests(PluginContract, SynchronousTestCase):
    """TCP keeps what a plugin promises."""

    plugin = TcpPlugin()
    conversation = b"\x00\xffany bytes\r\n"
    answer = b"others\x00"


class HttpTests(PluginContract, SynchronousTestCase):
    """HTTP does, which takes its messages apart."""

    plugin = HttpPlugin()
    conversation = b"POST /memo HTTP/1.1\r\nHost: upstream.test\r\nContent-Length: 5\r\n\r\nhello"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    half_close = False
