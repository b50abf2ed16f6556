# -*- test-case-name: tests.protocols.http.test_plugin -*-
"""
The provider of the http protocol.
"""

from lproxy.protocols.http.plugin import HttpPlugin

http = HttpPlugin()
