# -*- test-case-name: tests.protocols.http.test_message -*-
"""
Requests and responses as HTTP means them, whatever version they travel in, and the rules for their fields.

Everything is bytes. Fields keep their order, duplicates and case; what belongs to one connection only is taken out
when a message is read (RFC 9110, 7.6.1), so that what is left can be sent on as it is.

Over 300 lines: what a message is, and the rules that its fields keep to, are one.
"""

from __future__ import annotations

import re
from typing import Final

from lproxy.errors import ProxyError

Headers = list[tuple[bytes, bytes]]

#: of messages without trailers; nobody changes it
NO_TRAILERS: Final[Headers] = []

#: framings that are no length: it ends by itself, or with its connection
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

#: RFC 9110, 5.6.2 and 5.5; one validator for all versions of HTTP
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
#: uri-host and port of RFC 3986, without the userinfo that RFC 9110, 4.2.4, forbids
HOST = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|(?=[^:])[A-Za-z0-9!$&'()*+,;=._~\-]*(?:%[0-9A-Fa-f]{2}[A-Za-z0-9!$&'()*+,;=._~\-]*)*)"
    rb"(?::([0-9]{0,5}))?"
)

#: methods that may be sent twice, RFC 9110, 9.2.2
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

# what is to be done with a field; ordinary ones, the most by far, are zero
ORDINARY: Final = 0
HOST_FIELD: Final = 1
LENGTH: Final = 2
ENCODING: Final = 3
CONNECTION: Final = 4
DROP: Final = 5
TE: Final = 6
UPGRADE: Final = 7
FORWARDED: Final = 8
#: from here on: who somebody is
AUTHORIZATION: Final = 9
CHALLENGE: Final = 10
#: the same towards a proxy
PROXY_AUTHORIZATION: Final = 11
PROXY_CHALLENGE: Final = 12
#: how many more proxies may forward it
HOPS: Final = 13
#: which trace it is part of (L{lproxy.protocols.http.context})
TRACE: Final = 14

_KINDS = {
    b"host": HOST_FIELD,
    b"content-length": LENGTH,
    b"transfer-encoding": ENCODING,
    b"connection": CONNECTION,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"te": TE,
    b"upgrade": UPGRADE,
    b"forwarded": FORWARDED,
    b"x-real-ip": FORWARDED,
    b"authorization": AUTHORIZATION,
    b"www-authenticate": CHALLENGE,
    b"proxy-authorization": PROXY_AUTHORIZATION,
    b"proxy-authenticate": PROXY_CHALLENGE,
    b"proxy-authentication-info": PROXY_CHALLENGE,
    b"max-forwards": HOPS,
    b"traceparent": TRACE,
    b"tracestate": TRACE,
    b"b3": TRACE,
    b"x-b3-traceid": TRACE,
    b"x-b3-spanid": TRACE,
    b"x-b3-sampled": TRACE,
    b"x-b3-flags": TRACE,
    b"x-b3-parentspanid": TRACE,
}
#: of the fields by which a proxy says for whom, and how, it was asked; applications read them with _ for - as well
X_FORWARDED = b"x-forwarded-"
#: what says where a message goes and ends: passed on without the blanks around it, which not everybody takes off
MEASURED = frozenset((HOST_FIELD, LENGTH, ENCODING))
#: what belongs to one connection, whatever its value
HOP_BY_HOP = frozenset((CONNECTION, DROP, UPGRADE))
#: a prefix that only lproxy itself speaks with
MESH = b"l5d-"
#: who somebody's client was, as a proxy before us says; who it is is proved to us, or not known
CLIENT_CERT = b"x-forwarded-client-cert"
#: entries of each memo of what peers say: they are bounded, since peers choose what is looked up
MEMO = 4096


class _Kinds(dict[bytes, int]):
    """Names as they were spelt, to their kinds. A name that is met for the first time is looked at closely."""

    def __missing__(self, name: bytes) -> int:
        lower = name.lower()
        kind = _KINDS.get(lower, ORDINARY)
        if not kind:
            dashed = lower.replace(b"_", b"-")
            if dashed.startswith(MESH) or dashed == CLIENT_CERT:
                kind = DROP
            elif dashed.startswith(X_FORWARDED) or _KINDS.get(dashed) == FORWARDED:
                kind = FORWARDED
        if len(self) < MEMO:
            self[name] = kind
        return kind


kinds = _Kinds()

#: authentication schemes that hold for a connection and whatever else comes on it (RFC 4559, 6)
_OF_CONNECTION = frozenset((b"ntlm", b"negotiate", b"nego2", b"kerberos"))
#: not to be had from trailers: framing, routing, authentication, and how to read the content (RFC 9110, 6.5.1)
NOT_IN_TRAILERS = frozenset(
    {name for name, kind in _KINDS.items() if kind != TRACE}
    | {
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"range",
        b"set-cookie",
        b"trailer",
    }
)


class Rejected(ProxyError):
    """
    A message that is not forwarded.

    @ivar status: the answer for it, where it is a request
    @ivar reason: the word it is counted under
    @ivar detail: what is wrong, for people
    """

    layer = "http"
    reason = "rejected"
    flag = "IH"
    status = 400
    keep = False

    def __init__(self, target: object, status: int, reason: str, detail: str) -> None:
        super().__init__(target)
        # others' are their class's; of these there is one for each rule of the grammar
        self.status = status  # type: ignore[misc]
        self.reason = reason  # type: ignore[misc]
        self.detail = detail

    def what(self) -> str:
        """What is wrong."""
        return f"refused ({self.reason}): {self.detail}"


class Request:
    """
    A request's head, ready to be sent on.

    @ivar target: request-target in origin form, or as CONNECT and OPTIONS have it
    @ivar authority: what it is for: the target's authority if it has one, else Host; empty if it has neither
    @ivar framing: length of the body in bytes, or L{CHUNKED}
    @ivar upgrade: whether it asks to become another protocol
    @ivar private: whether it authenticates the connection that it goes on, and not itself alone
    @ivar proxied: whether it has fields that are for a proxy
    @ivar hops: whether it says how many more proxies may forward it, of a method where that counts
    @ivar h2c: whether it asks for HTTP/2 in clear text, which is not passed on
    @ivar lenient: whether its answer may be less than correct
    @ivar special: whether there is more to be done about it than to send it on
    @ivar absolute: the target in absolute form, where it came in that
    @ivar stream_id: of the HTTP/2 stream that it came on, 0 of HTTP/1. Where it is not 0, C{headers} have neither Host
        nor Transfer-Encoding, and their names are in lower case
    @ivar id: what it is called in everybody's logs, where the listener sees to that; C{id_told}: whether its answer
        says it
    @ivar old: whether it is HTTP/1.0
    @ivar protocol: what an extended CONNECT (RFC 8441) asks for, such as C{websocket}; its C{target} is a path then.
        Such a request is answered by L{Responder.tunnel<lproxy.protocols.http.streams.Responder.tunnel>} or refused
    @ivar grpc: whether it is a call of gRPC; known of HTTP/2 alone, which that needs
    @ivar asked: authority and target as they came, where the upstream is told others
    @ivar original: the version, 1 or 2, in which it came to a proxy of ours that has sent it on; 0: nobody says
    @ivar timeout: seconds that its caller waits for it, where it is a call and says so
    @ivar traced: whether it says something of a trace, good or bad
    """

    __slots__ = (
        "absolute",
        "asked",
        "authority",
        "framing",
        "grpc",
        "h2c",
        "headers",
        "hops",
        "id",
        "id_told",
        "lenient",
        "method",
        "old",
        "original",
        "private",
        "protocol",
        "proxied",
        "special",
        "stream_id",
        "target",
        "timeout",
        "traced",
        "upgrade",
    )

    def __init__(
        self, method: bytes, target: bytes, headers: Headers, framing: int, authority: bytes, upgrade: bool
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.framing = framing
        self.authority = authority
        self.upgrade = upgrade
        self.private = False
        self.proxied = False
        self.hops = False
        self.h2c = False
        self.lenient = False
        self.special = False
        self.absolute = b""
        self.asked: tuple[bytes, bytes] | None = None
        self.stream_id = 0
        self.protocol = b""
        self.grpc = False
        self.old = False
        self.id = b""
        self.id_told = False
        self.original = 0
        self.timeout: float | None = None
        self.traced = False

    def __repr__(self) -> str:
        return f"<Request {self.method!r} {self.authority!r} {self.target!r}>"

    def not_proxied(self) -> None:
        """Take out what is for a proxy: this is the last, or asks for nothing of the kind."""
        self.headers = without_proxy(self.headers)

    def name_host(self, host: bytes) -> None:
        """Say C{host} in its Host field, and nowhere else: it came without one, or with an empty one."""
        if self.stream_id:
            self.authority = host
            return
        self.headers = [(b"Host", host), *(field for field in self.headers if kinds[field[0]] != HOST_FIELD)]


class Response:
    """
    A response's head, ready to be sent on.

    @ivar framing: length of the body in bytes, L{CHUNKED} or L{UNTIL_CLOSE}
    @ivar ours: whether the proxy itself answers
    @ivar last: whether the client's connection ends with it, as some answers of ours want it
    @ivar private: whether it is about the authentication of the connection that it came on
    @ivar proxied: whether it has fields of a proxy
    @ivar http2: whether it came in HTTP/2: its fields have no Transfer-Encoding, and their names are in lower case
    """

    __slots__ = ("framing", "headers", "http2", "last", "ours", "private", "proxied", "reason", "status")

    def __init__(
        self,
        status: int,
        reason: bytes,
        headers: Headers,
        framing: int,
        ours: bool = False,
        last: bool = False,
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.framing = framing
        self.ours = ours
        self.last = last
        self.private = False
        self.proxied = False
        self.http2 = False

    def not_proxied(self) -> None:
        """Take out what a proxy says, as it was not asked as one."""
        self.headers = without_proxy(self.headers)

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


def of_connection(credentials: bytes) -> bool:
    """Whether C{credentials}, or a challenge for some, are of a scheme that authenticates a whole connection."""
    return any(words[0].lower() in _OF_CONNECTION for part in credentials.split(b",") if (words := part.split(None, 1)))


def without_proxy(headers: Headers) -> Headers:
    """Those that are not between a client and a proxy (RFC 9110, 11.7)."""
    return [field for field in headers if kinds[field[0]] not in (PROXY_AUTHORIZATION, PROXY_CHALLENGE)]


class _Trailing(dict[bytes, bool]):
    """Names of trailers, to whether they may be passed on."""

    def __missing__(self, name: bytes) -> bool:
        passed = kinds[name] in (ORDINARY, TRACE) and name.lower() not in NOT_IN_TRAILERS
        if len(self) < MEMO:
            self[name] = passed
        return passed


_trailing = _Trailing()


def trailer_fields(headers: Headers) -> Headers:
    """Those of a trailer section that may be passed on."""
    return [field for field in headers if _trailing[field[0]]]


def find(headers: Headers, lower: bytes) -> bytes | None:
    """The first value of a field, by its name in lower case. Not for the data path."""
    for name, value in headers:
        if name.lower() == lower:
            return value
    return None
