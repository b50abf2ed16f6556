# -*- test-case-name: tests.protocols.tcp.test_plugin -*-
"""
The provider of the tcp protocol.
"""

from lproxy.protocols.tcp.plugin import TcpPlugin

tcp = TcpPlugin()
