# -*- test-case-name: tests.protocols.tcp.test_rescue -*-
"""
What becomes of a failure where all that can be said to a client is to close: what becomes of it for every protocol
whose request is a connection.
"""

from __future__ import annotations

from lproxy.protocols.connection import FLAGS, rescue

__all__ = ["FLAGS", "rescue"]
