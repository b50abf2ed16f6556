# -*- test-case-name: tests.protocols.http.h2.test_limits -*-
"""
What the peer of an HTTP/2 connection may do and have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lproxy import config

#: no window is larger, RFC 9113, 6.9.1
LARGEST: Final = 2**31 - 1


@dataclass(frozen=True)
class Limits:
    """
    What a peer may do and have at most, per connection. The last ones are rates or totals beyond which it is a flood:
    C{ConnectionFault} with ENHANCE_YOUR_CALM.

    @ivar streams: streams that the peer may have open at once; more are refused one by one
    @ivar stream_window: bytes of a stream that may be in our hands
    @ivar connection_window: bytes of all streams that may be on their way
    @ivar header_list: bytes of a decoded field section as RFC 9113, 6.5.2, counts them: 32 more for each field.
        Over it: C{Handler.oversized}. Four times as many, encoded or decoded: the end of the connection
    @ivar header_count: its fields, cookies as one
    @ivar connect_protocol: whether a server says that it knows extended CONNECT (RFC 8441)
    @ivar control_frames: frames that wait for C{Engine.take}, of those that a peer can cause without end: SETTINGS
        and PING acknowledged, RST_STREAM
    @ivar frames: frames of all kinds that wait for it
    @ivar empty_frames: HEADERS, CONTINUATION and DATA in a row without content that do not end a stream
    @ivar continuations: CONTINUATION frames of one field section
    @ivar priorities: PRIORITY frames: as many times the streams ever opened and one
    @ivar window_updates: WINDOW_UPDATE frames for each DATA frame sent: twice as many, 2 for each stream, and 5
    @ivar resets: streams that the peer reset, or provoked us to, above...
    @ivar resets_per_second: ...so many a second
    """

    streams: int = 100
    stream_window: int = 64 * 1024
    connection_window: int = 1024 * 1024
    header_list: int = 32 * 1024
    header_count: int = 100
    connect_protocol: bool = True
    control_frames: int = 1000
    frames: int = 10_000
    empty_frames: int = 1
    continuations: int = 64
    priorities: int = 100
    window_updates: int = 10
    resets: int = 1000
    resets_per_second: float = 33.0


def configured(limits: config.Limits) -> Limits:
    """What the configuration says of that."""
    return Limits(
        streams=limits.h2_streams,
        stream_window=min(limits.h2_stream_window, LARGEST),
        connection_window=min(limits.h2_connection_window, LARGEST),
        header_list=limits.headers,
        header_count=limits.header_count,
        control_frames=limits.h2_control_frames,
        frames=limits.h2_frames,
        continuations=limits.h2_continuations,
        resets=limits.h2_resets,
        resets_per_second=limits.h2_resets_per_second,
    )
