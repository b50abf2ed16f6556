# -*- test-case-name: tests.app.test_trace -*-
"""
The way of each connection and request, for whoever looks for the reason: C{LPROXY_LOG=debug}.

Nothing is put together where nobody sees it. Requests are told where the level is so when the proxy starts.
"""

from __future__ import annotations

from typing import Any

from lproxy.app.log import log
from lproxy.target import join_host_port
from lproxy.transport.detect import Detected
from lproxy.transport.proxy_protocol.header import Header
from lproxy.transport.stream import Stream


def accepted(listener: str, stream: Stream) -> None:
    """A listener has a new connection."""
    if log.debugging():
        conn = stream.conn
        redirected = (
            conn.original_dst is not None and f", redirected on its way to {join_host_port(*conn.original_dst)}"
        )
        log.debug("{way}: accepted{redirected}", way=way(listener, stream), redirected=redirected or "")


def proxied(listener: str, stream: Stream, header: Header) -> None:
    """A header has said whom it is for."""
    if log.debugging():
        source = header.source
        log.debug(
            "{way}: for {client}, says a PROXY protocol header of version {version}",
            way=way(listener, stream),
            client="itself" if header.local else join_host_port(*source) if source is not None else "nobody knows whom",
            version=header.version,
        )


def configured(listener: str, stream: Stream, protocol: str) -> None:
    """Nothing is detected: a session of the listener's protocol has it from now on."""
    if log.debugging():
        log.debug("{way}: speaks {protocol}, as configured", way=way(listener, stream), protocol=protocol)


def detected(listener: str, stream: Stream, found: Detected) -> None:
    """It is known what it speaks, and a session of that protocol has it from now on."""
    if log.debugging():
        log.debug(
            "{way}: speaks {protocol}, {result} after {bytes} bytes and {seconds:.3f} s of detection",
            way=way(listener, stream),
            protocol=found.protocol,
            result=found.result,
            bytes=len(found.prefix),
            seconds=found.seconds,
        )


def over(listener: str, stream: Stream, protocol: str) -> None:
    """Its session is over."""
    if log.debugging():
        log.debug(
            "{way}: {protocol} over: {bytes_in} bytes from the client, {bytes_out} to it",
            way=way(listener, stream),
            protocol=protocol,
            bytes_in=stream.bytes_in,
            bytes_out=stream.bytes_out,
        )


def done(row: dict[str, Any]) -> None:
    """A request or byte stream is over, as the access log has it."""
    if log.debugging():
        rest = ", ".join(f"{key} {value}" for key, value in row.items() if key not in TOLD and value not in (None, ""))
        log.debug(
            "listener {listener}: {client}: {kind}: {rest}",
            listener=row.get("listener"),
            client=row.get("client"),
            kind=row.get("kind"),
            rest=rest,
        )


TOLD = frozenset({"listener", "client", "kind"})


def way(listener: str, stream: Stream) -> str:
    """Whose connection it is."""
    return f"listener {listener}: {join_host_port(*stream.conn.peer)}"
