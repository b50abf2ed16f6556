# -*- test-case-name: tests.protocols.http.h2.test_settings -*-
"""
SETTINGS (RFC 9113, 6.5.2; RFC 8441, 3): what we say, and what a peer may.
"""

from __future__ import annotations

from lproxy.protocols.http.h2.engine import MAXIMUM, Engine
from lproxy.protocols.http.h2.faults import FLOW, FLOW_CONTROL_ERROR, FRAME, PROTOCOL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.frames import (
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    FRAME_SIZE,
    INITIAL_WINDOW_SIZE,
    LARGEST_FRAME,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
)
from lproxy.protocols.http.h2.limits import Limits

Pairs = list[tuple[int, int]]


def ours(limits: Limits, client: bool) -> Pairs:
    """What a connection begins with; all else is as RFC 9113 has it."""
    pairs = [(INITIAL_WINDOW_SIZE, limits.stream_window), (MAX_HEADER_LIST_SIZE, limits.header_list)]
    if client:
        return [(ENABLE_PUSH, 0), *pairs]
    pairs.insert(0, (MAX_CONCURRENT_STREAMS, limits.streams))
    if limits.connect_protocol:
        pairs.append((ENABLE_CONNECT_PROTOCOL, 1))
    return pairs


def learn(engine: Engine, pairs: Pairs, by_server: bool) -> None:
    """
    What a peer has said, in C{peer_...} of the engine.

    @raise ConnectionFault: it may not say so
    """
    for name, value in pairs:
        if name == INITIAL_WINDOW_SIZE:
            if value > MAXIMUM:
                raise ConnectionFault(FLOW_CONTROL_ERROR, FLOW, f"an initial window of {value} bytes")
            engine.peer_window = value
        elif name == MAX_CONCURRENT_STREAMS:
            engine.peer_streams = min(value, MAXIMUM)
        elif name == MAX_HEADER_LIST_SIZE:
            engine.peer_header_list = min(value, MAXIMUM)
        elif name == MAX_FRAME_SIZE:
            _need(FRAME_SIZE <= value <= LARGEST_FRAME, f"frames of {value} bytes")
            engine.peer_frame = value
        elif name == ENABLE_PUSH:
            _need(value == 0 or (value == 1 and not by_server), f"ENABLE_PUSH {value}")
        elif name == ENABLE_CONNECT_PROTOCOL:
            # what is announced cannot be taken back
            _need(value == 1 or (value == 0 and not engine.peer_connect_protocol), f"ENABLE_CONNECT_PROTOCOL {value}")
            engine.peer_connect_protocol = value == 1
    if not engine.settled:
        engine.settled = True
        if not any(name == MAX_CONCURRENT_STREAMS for name, _ in pairs):
            engine.peer_streams = MAXIMUM


def _need(good: bool, what: str) -> None:
    if not good:
        raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"SETTINGS of {what}")
