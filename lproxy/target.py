# -*- test-case-name: tests.test_target -*-
"""
Where a connection or request wants to go.

One small type for each purpose, never one type with optional fields. Targets are the only keys of locks and
caches and are looked up once per request, so each computes its hash once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple


def join_host_port(host: str, port: int) -> str:
    """C{host:port}, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_host_port(text: str, default: int | None = None) -> tuple[str, int]:
    """
    The reverse of L{join_host_port}.

    @param default: the port where C{text} has none
    @raise ValueError: no port where one is needed, or one that is not 1 to 65535
    """
    host, bracket, rest = text.rpartition("]")
    if bracket:
        host = host.removeprefix("[")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    if not port and default is not None:
        return host, default
    # int() alone takes signs, blanks, underscores and foreign digits
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return host, int(port)


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """Equality and a hash made once, over type and key."""

    key: tuple[object, ...] = field(init=False, repr=False)
    hash: int = field(init=False, repr=False)

    def _seal(self, *key: object) -> None:
        object.__setattr__(self, "key", (type(self), *key))
        object.__setattr__(self, "hash", hash(self.key))

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Target) and self.key == other.key)


@dataclass(frozen=True, slots=True, eq=False)
class Authority(_Target):
    """A logical destination as clients name it: a C{[services]} entry or a DNS name, and its port."""

    host: str
    port: int

    def __post_init__(self) -> None:
        self._seal(self.host, self.port)

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True, eq=False)
class ServiceName(_Target):
    """An entry of C{[services]} by its name, as in C{target = "service:NAME"}."""

    name: str

    def __post_init__(self) -> None:
        self._seal(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class Member(_Target):
    """
    An address that a service has told of itself, such as a broker of a Kafka cluster: connections there keep to all
    that is configured for the service, such as how they are secured.
    """

    service: str
    host: str
    port: int

    def __post_init__(self) -> None:
        self._seal(self.service, self.host, self.port)

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True, eq=False)
class OriginalDst(_Target):
    """Where a redirected connection was going before the kernel handed it to us."""

    host: str
    port: int

    def __post_init__(self) -> None:
        self._seal(self.host, self.port)

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint(_Target):
    """One address that can be connected to: an IP address and a port."""

    host: str
    port: int

    def __post_init__(self) -> None:
        self._seal(self.host, self.port)

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True, eq=False)
class Split(_Target):
    """
    A destination whose requests several others share, each a part as large as its weight. Which of them gets one is
    chosen for each anew.

    @ivar of: the destination, as clients know it
    @ivar backends: who serves it, none of them itself a split, and their weights; 0: no part
    """

    of: Concrete
    backends: tuple[tuple[Concrete, int], ...]

    def __post_init__(self) -> None:
        """
        @raise ValueError: a weight is negative, or none is positive
        """
        weights = [weight for _, weight in self.backends]
        if not any(weights) or min(weights) < 0:
            raise ValueError(f"weights are 0 or more, and one is more, not {weights}")
        self._seal(self.of, self.backends)

    def __str__(self) -> str:
        return str(self.of)


class Secure(NamedTuple):
    """
    That connections to an endpoint are secured with TLS, and who has to be at its end. Never anything less.

    @ivar server_name: the name that the server's certificate is checked against, and that it is told (SNI); an IP
        address is checked, and not told
    @ivar identity: whether that is an identity of the mesh: TLS 1.3, our own certificate shown, its anchors trusted
    @ivar ca: a PEM file of whom to trust instead of the system's, for a server that is not of the mesh
    @ivar certificate: a PEM file of what to show to such a server, with its C{key}; empty: nothing
    @ivar alpn: the protocols that are offered to it, the best first: for whoever speaks them to say, see
        L{Metadata.offering}
    """

    server_name: str
    identity: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    alpn: tuple[str, ...] = ()


class Metadata(NamedTuple):
    """
    What discovery knows of an endpoint besides its address.

    @ivar secure: how connections to it are secured; C{None}: they are not
    @ivar protocol: which version of its protocol it speaks, C{http1} or C{http2}; empty where nobody says
    @ivar proxy_protocol: the version of the PROXY protocol, C{v1} or C{v2}, in which it is told of clients; or empty
    @ivar weight: its part of the requests, beside others' weights
    @ivar zone: where it is; empty: nobody knows
    """

    secure: Secure | None = None
    protocol: str = ""
    proxy_protocol: str = ""
    weight: int = 1
    zone: str = ""

    def connects_as(self, other: Metadata) -> bool:
        """Whether connections to an endpoint of which C{other} is known are made likewise."""
        return self[:3] == other[:3]

    def offering(self, *alpn: str) -> Metadata:
        """The same, where the protocols C{alpn} are offered if there is a handshake to do that in (RFC 7301)."""
        return self if self.secure is None else self._replace(secure=self.secure._replace(alpn=alpn))


#: of an endpoint of which nothing else is known
UNKNOWN: Final = Metadata()


#: what one service serves
Concrete = Authority | ServiceName | Member | OriginalDst | Endpoint
#: whatever can be acquired
Target = Concrete | Split
