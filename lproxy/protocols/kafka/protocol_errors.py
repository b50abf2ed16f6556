# -*- test-case-name: tests.protocols.kafka.test_protocol_errors -*-
"""
What is wrong with a connection that is not Kafka, in words. Kafka has no response that fits every request, so all that
can be told to a peer is to close; why, is said in the log.
"""

from __future__ import annotations

from lproxy.api import Runtime
from lproxy.errors import Failed

#: why a connection is not Kafka, by the reason that is counted, in words that go on after "the client" or "the broker"
REASONS = {
    "tls_on_plaintext": "speaks TLS to a Kafka listener without it",
    "http": "speaks HTTP",
    "upstream_tls": "speaks TLS, and is spoken to without it",
    "upstream_http": "speaks HTTP",
    "size": "announces a frame of an impossible size",
    "too_large": "announces a request beyond kafka.max_request",
    "upstream_size": "announces a frame of an impossible size",
    "upstream_too_large": "announces a response beyond kafka.max_response",
    "truncated": "sends a request that ends within its header",
    "client_id": "sends a client id that does not fit into its request",
    "header_too_long": "sends a header beyond kafka.max_header",
    "varint": "sends a header with an impossible number",
    "tags": "sends a header whose tags do not fit into it",
    "correlation": "responds to a request that is not the next one",
    "unexpected": "responds although nothing was asked",
    "denied": "sends a request that kafka.deny or a filter forbids",
    "unsupported": "sends a request whose answer may hold addresses that lproxy cannot rewrite",
    "undecodable": "sends what a filter was to read and cannot be decoded",
    "filter_too_large": "sends a request that a filter was to read and is beyond kafka.buffered",
    "sasl_v0": "lets a client log in with tokens outside of requests, nobody here knows how many",
    "stalled": "began a frame and does not go on with it (kafka.frame_progress)",
    "upstream_stalled": "began a frame and does not go on with it (kafka.frame_progress)",
}


def invalid(runtime: Runtime, client: str, target: str, side: str, reason: str, goes_on: bool) -> None:
    """
    Log that C{side}, client or broker, sent what is not Kafka, or not allowed.

    @param target: whom the client has asked for
    """
    what = REASONS.get(reason, f"sends what cannot be passed on ({reason})")
    runtime.warn(
        f"kafka-{reason.partition(':')[0]}",
        f"listener {runtime.listen.name}: kafka connection from {client}: the {side} {what}: "
        f"{'passed on unread' if goes_on else 'closed'}",
        Failed("kafka", target, f"the {side} {what}", None),
    )
