# -*- test-case-name: tests.test_config -*-
"""
Every setting, its default and what it is for, each exactly once.

Frozen values without imports beyond other values. The reference in the docs is generated from here.

Over 300 lines: it is the one place where a setting stands; L{lproxy.timeouts} is the part that would be too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from lproxy.balancing import Balancing, HealthCheck, Place
from lproxy.profile import Profile, Rate
from lproxy.setting import AUTO as AUTO  # noqa: PLC0414 - as these, it is had from here
from lproxy.setting import setting as setting  # noqa: PLC0414
from lproxy.timeouts import INBOUND as INBOUND  # noqa: PLC0414
from lproxy.timeouts import Timeouts as Timeouts  # noqa: PLC0414

Direction = Literal["inbound", "outbound"]
Forwarded = Literal["pass", "append", "replace", "remove"]
RequestId = Literal["pass", "keep", "generate"]
#: formats of a trace's context in HTTP fields, by OpenTelemetry's names
Propagation = Literal["tracecontext", "b3", "b3multi"]
#: whether connections begin with a header that says whom they are for; and which one upstreams are sent
ProxyHeader = Literal["off", "require"]
ProxyVersion = Literal["v1", "v2"]
Http2Engine = Literal["lane", "reference"]
HttpVersion = Literal["http1", "http2"]
#: what a listener does about TLS
Tls = Literal["off", "detect", "terminate", "passthrough"]

#: the protocols that a listener detects by default; one that is not installed is left out
DETECT = ("http", "kafka")

#: targets that are each connection's or request's own
KEYWORDS = ("authority", "original-dst", "sni")

#: an empty table
NOTHING: Mapping[str, Any] = MappingProxyType({})

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Admin:
    """C{[admin]}: the admin server."""

    address: str = setting("127.0.0.1:4191", "where the admin server listens; empty turns it off", "listen")
    shutdown: bool = setting(False, "whether POST /shutdown, from loopback only, drains and ends the proxy")
    reload: bool = setting(False, "whether POST /reload, from loopback only, reads the configuration's file anew")
    log_level: bool = setting(False, "whether POST /log-level, from loopback only, changes the log level")
    hosts: tuple[str, ...] = setting(
        (), "further Host names the admin server answers to, besides loopback names and its own address"
    )
    certificate: str = setting(
        "",
        "a PEM file with the certificate that it shows, and what leads to an anchor; with it, it speaks https alone",
        "file",
    )
    key: str = setting(
        "",
        "a PEM file with the key of that; unset: it stands in the same file, or beside it in one that ends in .key",
        "file",
    )
    client_ca: str = setting(
        "", "a PEM file with whom to trust for clients' certificates; with it, nobody without one is served", "file"
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """
    C{[identity]}: who this proxy is, to others that trust the same anchors, and who they are to it; all three keys, or
    none.
    """

    trust: str = setting("", "a PEM file with the anchors of trust: who is vouched for by them is believed", "file")
    certificate: str = setting(
        "",
        "a PEM file with this proxy's own certificate, which names it by a SAN (DNS name or SPIFFE URI), and behind it "
        "what leads to an anchor",
        "file",
    )
    key: str = setting(
        "", "a PEM file with the certificate's private key; nobody but the proxy's user may read it", "file"
    )


#: whom a silent client is taken to wait for
ServerFirst = Literal["learn", "always", "never"]
#: of C{Listen.undecided}: detection goes on
WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Listen:
    """C{[[listen]]}: one listener."""

    name: str = setting("", "the listener's name in logs and metrics; unique", "word", required=True)
    address: str = setting(
        "", "IP:port, or a Twisted server endpoint string such as systemd:domain=INET:index=0", "listen", required=True
    )
    direction: Direction = setting("outbound", "which side of the application this is: outbound or inbound")
    target: str = setting(
        "authority",
        "where connections go: authority, original-dst, host:port, service:NAME, or sni, the name that a TLS client "
        "asks for",
    )
    detect: tuple[str, ...] = setting(DETECT, "the protocols to detect, in this order; tcp always comes last")
    protocol: str | None = setting(None, "the protocol, instead of detection: http, tcp or a plugin's name")
    server_first: ServerFirst = setting(
        "learn",
        "whether a silent client makes lproxy connect upstream, as that may speak first; learn: not for ten minutes to "
        "one that did not",
    )
    undecided: str = setting(
        WAIT,
        "what a client that was silent past timeouts.detect speaks, once it does: a protocol, or wait to detect that",
    )
    forwarded: Forwarded = setting(
        "pass",
        "what becomes of X-Forwarded-For and the like in HTTP requests: passed on as they are, the client's address "
        "appended, replaced by what is known of the client, or removed",
    )
    trusted: tuple[str, ...] = setting(
        (),
        "networks whose clients' X-Forwarded-For and the like are kept where they are passed on or appended to; those "
        "of others are removed first; none: everybody's are kept",
        "network",
    )
    request_id: RequestId = setting(
        "pass",
        "what becomes of X-Request-Id: passed on as any field; keep: every request has one, the client's (of clients "
        "in trusted, where that has any) or else a new one, a random UUID; generate: every request has a new one",
    )
    request_id_reply: bool = setting(False, "whether answers say the request's id, where keep or generate gives it one")
    tls: Tls | None = setting(
        None,
        "what becomes of TLS: off: it is bytes as any others; detect: it is terminated where the client asks for a "
        "name that this proxy has a certificate of, and passed on as it is otherwise; terminate: all of it is, "
        "and plain connections are refused; passthrough: none is, its name is looked at alone; unset: detect where "
        "there are certificates, or on an inbound listener where there is an [identity], else off",
    )
    certificates: tuple[str, ...] = setting(
        (),
        "for the names that clients ask for, each a PEM file of a certificate, what leads to its anchor, and its key "
        "(which may stand beside it in a file of that name that ends in .key), or a folder of such files; the first is "
        "for whoever asks for no name or for another",
        "file",
    )
    redirect_https: bool = setting(
        False, "whether HTTP requests that come without TLS are told to come back by https, all of them"
    )
    require_identity: bool = setting(
        False, "whether clients must show an identity, as those do that are lproxy or linkerd with the same anchors"
    )
    allow: tuple[str, ...] = setting(
        (), "the identities that may; * stands for the labels at one end, as in web.shop.*; none: all", "pattern"
    )
    deny: tuple[str, ...] = setting((), "those of them that may not, nevertheless", "pattern")
    proxy_protocol: ProxyHeader = setting(
        "off",
        "require: every connection has to begin with a header of the PROXY protocol, version 1 or 2, as load balancers "
        "send it; the address that it tells is the client's from then on. Connections without one are closed",
    )
    proxy_protocol_from: tuple[str, ...] = setting(
        (),
        "networks whose connections may have such a header; those from elsewhere are closed. None: everybody's are "
        "believed",
        "network",
    )
    http2_engine: Http2Engine = setting(
        "lane",
        "what reads and writes the frames of HTTP/2, of clients and of the upstreams that the listener connects to: "
        "lane, lproxy's own, or reference, the h2 library, which is slower by far",
    )
    rates: tuple[Rate, ...] = setting(
        (),
        'how many HTTP requests there may be, each such as { requests = 100, per = "1s" }, with burst (at once, after '
        "a pause; unset: requests) and by: all (of everybody together), client (of each client's address), identity "
        "(of each that mutual TLS has proved) or header (of each value of the field that header names); those without "
        "identity or field are counted together. Whatever is more is answered 429",
    )
    #: what plugins made of this listener's own tables, by plugin name
    plugins: Mapping[str, Any] = field(default_factory=lambda: NOTHING, hash=False)


@dataclass(frozen=True, slots=True)
class Service:
    """C{[services."NAME"]}: a statically known service."""

    name: str = setting(
        "", "the table's name: an authority such as web.local:80, or any word for service:NAME", "table"
    )
    endpoints: tuple[str | Place, ...] = setting(
        (),
        "who serves it, each IP:port or name:port, DNS having the names; or a table of that address, with the weight "
        "of its part of the requests (1) and the zone where it is",
        "address",
    )
    max_failures: int | None = setting(
        None, "what limits.max_failures is, for this service alone; unset: that", "count or 0"
    )
    failure_ratio: float | None = setting(None, "the same of balancing.failure_ratio", "part or unset")
    max_ejected: float | None = setting(None, "the same of balancing.max_ejected", "part or unset")
    slow_start: float | None = setting(None, "the same of balancing.slow_start", "duration or unset")
    protocol: HttpVersion | None = setting(
        None,
        "the version of HTTP that it is spoken to in, http1 or http2; unset: what is agreed upon where it has tls, "
        "else the client's own, where that had no choice of both, or calls gRPC; else http1",
    )
    proxy: bool = setting(
        False,
        "whether it is an HTTP proxy itself: it is sent Proxy-Authorization and the absolute form of the target, and "
        "its Proxy-Authenticate is passed on",
    )
    lenient: bool = setting(
        False,
        "whether HTTP answers of it may have what RFC 9112 lets recipients pass over: a bare LF as a line's end in a "
        "head, equal Content-Lengths, folded fields, chunked in HTTP/1.0; it is put right before it goes on",
    )
    proxy_protocol: ProxyVersion | None = setting(
        None,
        "the version of the PROXY protocol header, v1 or v2, that each connection to it begins with, to say whom it is "
        "for; it is never anybody else's then. Unset: none",
    )
    tls: bool = setting(
        False, "whether connections to it are secured with TLS, as with any https server; never anything less"
    )
    server_name: str = setting(
        "",
        "the name that its certificate must have, and that it is asked for; unset: the service's own, less its port",
    )
    ca: str = setting("", "a PEM file with whom to trust for its certificate; unset: whom the system trusts", "file")
    certificate: str = setting("", "a PEM file with the certificate to show it, where it asks for one", "file")
    key: str = setting("", "a PEM file with the key of that; unset: it stands in the same file", "file")
    identity: str = setting(
        "",
        "who serves it: connections to it are secured with mutual TLS, this proxy being who [identity] says, and none "
        "is made to anybody else",
        "identity",
    )
    require_identity: bool = setting(False, "whether clients must show an identity to have it")
    allow: tuple[str, ...] = setting((), "the identities that may have it; see [[listen]]", "pattern")
    deny: tuple[str, ...] = setting((), "those of them that may not, nevertheless", "pattern")
    #: how its endpoints are asked whether they serve, where they are; see L{lproxy.configfile.health}
    health: HealthCheck | None = None
    #: how its requests are treated, where the file says that; see L{lproxy.configfile.profile}
    profile: Profile | None = None


#: of a service that the configuration says nothing about
PLAIN = Service()


@dataclass(frozen=True, slots=True)
class ProfileFiles:
    """
    C{[profiles]}: files that say how services' requests are treated, by Linkerd's C{ServiceProfile} or by C{HTTPRoute}
    and C{GRPCRoute} of the Gateway API. They are looked at every second. One that is not right is not used: what it
    said before still holds.
    """

    files: tuple[str, ...] = setting(
        (),
        "paths of files, of folders (all in them that end in .yaml, .yml or .json), or patterns such as "
        "profiles/*.yaml",
        "file",
    )
    namespace: str = setting(
        "",
        "the namespace of the applications that are served: that of documents which have none, and of services whose "
        "names have none; unset: a bare name is the one service that has it, in whichever namespace",
        "word",
    )
    cluster_domain: str = setting("cluster.local", "what the names of the cluster's services end in", "word")


@dataclass(frozen=True, slots=True)
class Limits:
    """C{[limits]}."""

    in_flight: int = setting(10_000, "requests and byte streams in flight in the whole proxy, waiting ones included")
    connections: int = setting(10_000, "accepted connections in the whole proxy")
    handshakes: int = setting(1_000, "TLS handshakes of clients under way at once; further ones are closed")
    acquiring: int = setting(100, "concurrent acquisitions for one target; further ones wait in a FIFO queue")
    services: int = setting(10_000, "cached services per listener direction and protocol")
    detect: int = setting(2 * KIB, "bytes at the beginning of a connection that detectors get to see", "size")
    request_line: int = setting(8 * KIB, "an HTTP/1 request line", "size")
    headers: int = setting(32 * KIB, "the header block of a message", "size")
    header_count: int = setting(100, "header lines of a message")
    chunk_line: int = setting(1 * KIB, "one chunk-size line with its extensions", "size")
    trailers: int = setting(8 * KIB, "the trailer block of a message", "size")
    buffer: int = setting(64 * KIB, "bytes buffered per direction before reading from the sender is paused", "size")
    pool: int = setting(1_000, "idle pooled connections kept per service")
    h2_connections: int = setting(
        100, "HTTP/2 connections to one endpoint; there are more than one only where streams find no room on it"
    )
    h2_streams: int = setting(100, "streams that an HTTP/2 client may have open at once, on each of its connections")
    h2_stream_window: int = setting(
        64 * KIB, "bytes of one HTTP/2 stream that its sender may be ahead, on their way or in the proxy", "size"
    )
    h2_connection_window: int = setting(
        1 * MIB, "bytes on their way to the proxy on one HTTP/2 connection, of all streams together", "size"
    )
    h2_control_frames: int = setting(
        1_000, "answers to SETTINGS and PING, and resets, that wait for an HTTP/2 peer which does not read"
    )
    h2_frames: int = setting(10_000, "frames of all kinds that wait for an HTTP/2 peer")
    h2_continuations: int = setting(64, "CONTINUATION frames of one HTTP/2 header section")
    h2_resets: int = setting(
        1_000, "HTTP/2 streams that a peer resets, or has reset by what it does, above those per second"
    )
    h2_resets_per_second: float = setting(33.0, "such resets that are no flood, however long they go on")
    max_failures: int = setting(
        5,
        "answers of 500 and above in a row, concurrent ones counted once, after which an HTTP endpoint gets no "
        "requests for a while, where there are others; 0 turns that off",
        "count or 0",
    )


@dataclass(frozen=True, slots=True)
class Dns:
    """C{[dns]}."""

    servers: tuple[str, ...] = setting((), "resolvers, each IP:port; none: those of /etc/resolv.conf", "resolver")
    ttl_min: float = setting(5.0, "an answer is cached at least this long, whatever its TTL", "duration")
    ttl_max: float = setting(300.0, "and at most this long", "duration")
    timeout: float = setting(1.0, "one query to one resolver", "duration")


@dataclass(frozen=True, slots=True)
class Metrics:
    """C{[metrics]}."""

    src_addr: bool = setting(True, "whether inbound transport metrics carry the client's address")
    src_addr_cap: int = setting(1_000, "distinct src_addr values; further ones count as other")
    target_cap: int = setting(200, "distinct targets and authorities as labels; further ones count as other")
    idle: float = setting(600.0, "how long a series stays that nothing live uses and that does not change", "duration")


@dataclass(frozen=True, slots=True)
class AccessLog:
    """C{[access_log]}: one line per request or connection."""

    path: str = setting("", "a file to append to; - is standard output; empty turns it off")
    format: str = setting(
        "json",
        "json, combined (as Apache's and nginx's), envoy (as Envoy's default), or a text with fields in braces: "
        "'{client_ip} \"{method} {path}\" {status} {seconds:ms}'; docs/operations/logs.rst has the fields",
    )
    connections: str = setting(
        "",
        "the same for byte streams and other connections that are no HTTP requests; unset: what goes with format",
    )


@dataclass(frozen=True, slots=True)
class Tracing:
    """C{[tracing]}: spans of HTTP requests, sent to a collector by OTLP over HTTP; needs C{lproxy[otel]}."""

    endpoint: str = setting("", "the collector's URL, such as http://127.0.0.1:4318; empty turns tracing off")
    sample: float = setting(
        0.01,
        "the part of traces that begin here which is sampled; of others their beginning has decided",
        "part or 0",
    )
    service: str = setting("lproxy", "the name of the service that the spans are of (service.name)")
    propagation: tuple[Propagation, ...] = setting(
        ("tracecontext",),
        "how upstreams are told of traces, besides the way in which the request told: tracecontext (W3C traceparent), "
        "b3 (in one field), b3multi",
    )


@dataclass(frozen=True, slots=True)
class KeyLog:
    """C{[key_log]}: the secrets of all TLS connections, for whoever decrypts captured traffic to find a mistake."""

    path: str = setting(
        "",
        "a file to append to, in the format of SSLKEYLOGFILE; who reads it can read all that is captured, and the log "
        "says so at every start. Empty turns it off",
    )


def _timeouts(direction: Direction) -> Timeouts:
    return Timeouts(**INBOUND) if direction == "inbound" else Timeouts()


#: what runs when no file is given
DEFAULT_LISTEN = (
    Listen(name="outbound", address="127.0.0.1:4140", direction="outbound"),
    Listen(name="inbound", address="127.0.0.1:4143", direction="inbound"),
)


@dataclass(frozen=True, slots=True)
class Config:
    """One whole configuration, checked; and the keys that stand before the first table of a file."""

    admin: Admin = Admin()
    identity: Identity = Identity()
    listen: tuple[Listen, ...] = DEFAULT_LISTEN
    services: Mapping[str, Service] = field(default_factory=lambda: NOTHING)
    outbound: Timeouts = field(default_factory=lambda: _timeouts("outbound"))
    inbound: Timeouts = field(default_factory=lambda: _timeouts("inbound"))
    limits: Limits = Limits()
    balancing: Balancing = Balancing()
    dns: Dns = Dns()
    metrics: Metrics = Metrics()
    access_log: AccessLog = AccessLog()
    key_log: KeyLog = KeyLog()
    tracing: Tracing = Tracing()
    profiles: ProfileFiles = ProfileFiles()
    watch: bool = setting(
        False,
        "whether a change of this file is read anew by itself, within seconds, as SIGHUP has it read; it is looked at "
        "by its name, so that it may be replaced, or be a link that leads elsewhere",
    )
    workers: int = setting(
        1,
        "how many processes serve, each on a core of its own, behind the same addresses; auto: one for each core that "
        "lproxy may use; 1: there is no other process than the one that was started",
        "workers",
    )

    def timeouts(self, direction: Direction) -> Timeouts:
        """The timeouts of one direction."""
        return self.inbound if direction == "inbound" else self.outbound

    def tls(self, listen: Listen) -> Tls:
        """What C{listen} does about TLS."""
        if listen.tls is not None:
            return listen.tls
        meshed = bool(self.identity.certificate) and listen.direction == "inbound"
        return "detect" if listen.certificates or meshed else "off"
