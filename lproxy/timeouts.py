# -*- test-case-name: tests.test_timeouts -*-
"""
Every timeout, its default and what it is for: the part of L{lproxy.config} that says how long things may take.
"""

from __future__ import annotations

from dataclasses import dataclass

from lproxy.setting import setting


@dataclass(frozen=True, slots=True)
class Timeouts:
    """C{[timeouts]}; also C{[timeouts.inbound]} and C{[timeouts.outbound]} for one direction alone."""

    detect: float = setting(10.0, "how long detection may take before the connection is forwarded as TCP", "duration")
    server_first: float = setting(
        0.05,
        "how long a client may be silent before lproxy connects upstream: the server may speak first",
        "duration",
    )
    acquire: float = setting(
        3.0, "the limit on all waiting in the proxy: queueing, resolving and connecting", "duration"
    )
    connect: float = setting(1.0, "one attempt to connect to one endpoint", "duration")
    handshake: float = setting(
        10.0, "a whole TLS handshake, with a client or with an upstream, whose connect comes before", "duration"
    )
    failfast: float = setting(
        2.0, "how long a service may not be ready before it enters failfast and requests fail at once", "duration"
    )
    backoff_min: float = setting(
        0.1,
        "how long an endpoint that failed gets no requests, at first; doubled with each failure, jittered",
        "duration",
    )
    backoff_max: float = setting(
        5.0, "longest delay between two tries whether an endpoint, or a service in failfast, is back", "duration"
    )
    header_read: float = setting(10.0, "from a request's first byte to the end of its headers", "duration")
    client_idle: float = setting(60.0, "how long a keep-alive connection of a client may be idle", "duration")
    upstream_idle: float = setting(3.0, "how long a pooled connection to an upstream may be idle", "duration")
    service_idle: float = setting(5.0, "how long a service without a request stays in the cache", "duration")
    body: float | None = setting(
        60.0,
        "how long a request's body may make no progress, be it the client that does not send it or the upstream that "
        "does not take it; none turns it off",
        "duration",
    )
    write: float | None = setting(60.0, "how long an HTTP client may stop reading; none turns it off", "duration")
    half_closed: float | None = setting(
        1.0,
        "how long an HTTP client's request may go on once the client has closed its side (FIN), as those do that are "
        "gone; none: as long as it takes",
        "duration",
    )
    response_headers: float | None = setting(
        None, "from the end of a request to the headers of its response; unset: no limit", "duration"
    )
    stream: float | None = setting(None, "a whole request and its response; unset: no limit", "duration")
    h2_ping: float | None = setting(
        None,
        "silence of an upstream's HTTP/2 connection with streams on it, after which it is asked whether it lives, and "
        "after as much again is lost; unset: it is not asked, as servers of gRPC complain of that more often than "
        "every five minutes",
        "duration",
    )
    keepalive: float | None = setting(
        60.0, "silence after which a TCP peer is asked whether it is still there; none turns it off", "duration"
    )
    keepalive_interval: float = setting(
        10.0, "between two such probes; six unanswered ones end the connection", "duration"
    )
    stop_delay: float | None = setting(
        None,
        "how long, before a shutdown closes the listeners, /ready says 503 while everybody is served: for load "
        "balancers to find out; the longer one of both directions counts; unset: not at all",
        "duration",
    )
    drain: float = setting(
        25.0,
        "how long a shutdown waits for requests and byte streams in flight; with stop_delay less than what the "
        "platform waits until it kills: Kubernetes 30 s, docker stop 10 s, systemd 90 s",
        "duration",
    )
    reload_drain: float | None = setting(
        None,
        "how long requests and byte streams may go on by a configuration that a reload has replaced; unset: as long as "
        "they last",
        "duration",
    )
    worker: float = setting(
        10.0,
        "how long a worker may show no sign of life until another one takes its place; the longer one of both "
        "directions counts",
        "duration",
    )


#: what differs on the inbound side, where the application is on the same machine
INBOUND = {"acquire": 1.0, "connect": 0.3, "failfast": 0.7, "service_idle": 90.0}
