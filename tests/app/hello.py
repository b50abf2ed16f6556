# -*- test-case-name: tests.app.test_secure -*-
"""
ClientHellos, as clients send them.
"""

from __future__ import annotations

import ssl


def hello(name: str | None = None) -> bytes:
    """The first that a client says who asks for C{name}, or for none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    said = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return said.read()
