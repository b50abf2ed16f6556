# -*- test-case-name: tests.app.test_outbound -*-
"""
The way of a request to the application next door: the same layers as outbound, on its own shorter clocks.

The application is one hop away and does not move, so it is given less time to be reached and is forgotten later
(L{lproxy.config.INBOUND}). A layer that only this direction needs would stand here.
"""

from __future__ import annotations

from lproxy.app.outbound import acquire

__all__ = ["acquire"]
