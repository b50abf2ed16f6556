# -*- test-case-name: tests.app.test_outcome -*-
"""
What there is to say of how detection ended, where it is not what was hoped for.
"""

from __future__ import annotations

from collections.abc import Callable

from lproxy.errors import Failed
from lproxy.protocols.runtime import Runtime
from lproxy.target import join_host_port
from lproxy.transport.detect import TCP, Detected
from lproxy.transport.stream import Stream


def explain(runtime: Runtime, stream: Stream, found: Detected, relayed: Callable[[Stream], bool]) -> None:
    """
    Say why, and the setting that would avoid it.

    @param relayed: whether a stream has a destination of its own
    """
    listen = runtime.listen
    if found.spoken and found.result == found.protocol and (found.result != TCP or len(listen.detect) != 1):
        return  # as with nearly all
    who = f"listener {listen.name}: a connection from {stream.conn.peer[0]}"
    if not found.spoken:
        text = f"{who} speaks {found.variant}, which is forwarded as TCP for now"
        _warn(runtime, stream, found, "detect-unspoken", text, f"{found.variant} is forwarded as TCP")
    elif found.result == TCP and len(listen.detect) == 1 and relayed(stream):
        # with one protocol alone, that is expected
        text = (
            f"{who} does not begin as {listen.detect[0]} does (0x{found.prefix[:4].hex()}): forwarded as TCP, past "
            f'all that {listen.detect[0]} would do. protocol = "{listen.detect[0]}" takes whatever comes for that.'
        )
        _warn(runtime, stream, found, "detect-other", text, f"it does not begin as {listen.detect[0]} does")
    elif found.result == "timeout":
        text = (
            f"{who} showed no protocol in {found.seconds:.1f} s ({len(found.prefix)} bytes): forwarded as TCP. "
            f'protocol = "tcp" (or another) for this listener avoids the wait; timeouts.detect bounds it.'
        )
        _warn(runtime, stream, found, "detect-timeout", text, "it showed no protocol in time (timeouts.detect)")
    elif found.result == "eof" and found.prefix:
        text = (
            f"{who} ended after {len(found.prefix)} bytes, before its protocol was clear: forwarded as TCP. "
            f'protocol = "tcp" (or another) for this listener needs no detection.'
        )
        _warn(runtime, stream, found, "detect-eof", text, "it ended before its protocol was clear")


def without_detector(runtime: Runtime, stream: Stream, found: Detected, name: str) -> None:
    """The detector of C{name} raised, and the connection goes on without it."""
    text = (
        f"listener {runtime.listen.name}: the detector of {name} failed on a connection from "
        f"{join_host_port(*stream.conn.peer)}, which goes on as {found.protocol}"
    )
    _warn(runtime, stream, found, f"detector-{name}", text, f"the detector of {name} failed")


def _warn(runtime: Runtime, stream: Stream, found: Detected, kind: str, text: str, cause: str) -> None:
    target = runtime.destination(stream.conn)
    whom = f"listener {runtime.listen.name}" if target is None else str(target)
    runtime.warn(kind, text, Failed("detect", whom, cause, found.seconds))
