# -*- test-case-name: tests.protocols.http.test_retry -*-
"""
May a request be sent once more?

Not how: a further try is a new acquisition (L{lproxy.stack.retry}), under its clock and through the balancer.
"""

from __future__ import annotations

from lproxy.protocols.http.message import IDEMPOTENT, Request, find
from lproxy.protocols.http.streams import UpstreamLost


def may_replay(head: Request, whole: bool, error: BaseException) -> bool:
    """
    Whether a further try cannot do what one that ended with C{error} has done already.

    That is sure only where the upstream cannot have seen it, or where to do it twice is as good as once (RFC 9110,
    9.2.2).

    @param whole: whether the request has all of its body
    """
    if not isinstance(error, UpstreamLost) or error.answered:
        return False
    if error.unsent:
        return True
    if not error.reused and not error.elsewhere:
        return False  # it did not die of having been idle, and would die again
    if head.protocol:
        return head.protocol == b"websocket"
    return whole and head.method in IDEMPOTENT and (not head.upgrade or is_websocket(head))


def is_websocket(head: Request) -> bool:
    """Whether it asks for a WebSocket: a GET like others until it is answered (RFC 6455, 4.1)."""
    return head.upgrade and (find(head.headers, b"upgrade") or b"").lower() == b"websocket"
