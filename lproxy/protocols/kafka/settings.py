# -*- test-case-name: tests.protocols.kafka.test_settings -*-
"""
C{[kafka]} and C{[listen.kafka]}: every setting, its default and what it is for.

Over 300 lines: each setting has one place, its check, and what follows from several together.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lproxy.config import KIB, MIB, NOTHING, Listen
from lproxy.configfile import Demands, Refused, Wrong, messages_of, read_own
from lproxy.configfile.problem import did_you_mean, show
from lproxy.configfile.table import Check
from lproxy.protocols.kafka.codec.apis import APIS, BY_NAME
from lproxy.protocols.kafka.filter import Filter, Filters, make
from lproxy.setting import setting
from lproxy.target import split_host_port

#: as brokers have it by default (socket.request.max.bytes)
MAX_REQUEST = 100 * MIB
#: the last one there is
PORTS = 65535
#: brokers of one listener, where nothing is said; few clusters have more
MAX_BROKERS = 100
#: first and last port
RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
#: a host's name; digits alone are an address to some, and a wildcard at that
HOST = re.compile(r"(?![\d.]+$)[\w.-]+")


@dataclass(frozen=True, slots=True)
class Quota:
    """C{[kafka.quotas."CLIENT ID"]}: what one client may ask for; more is read later."""

    bytes: int | None = setting(None, "bytes of requests per second", "size")
    requests: int | None = setting(None, "requests per second")


@dataclass(frozen=True, slots=True)
class KafkaConfig(Demands):
    """C{[kafka]}: for all listeners; C{[listen.kafka]} replaces keys of it for one."""

    mode: Literal["observe", "gateway"] = setting(
        "observe", "observe forwards every byte unchanged and counts; gateway puts its own addresses for the brokers'"
    )
    on_invalid: Literal["auto", "opaque", "close"] = setting(
        "auto", "what becomes of a connection that is no Kafka: opaque passes it on unread; auto: closed in a gateway"
    )
    max_request: int = setting(MAX_REQUEST, "the largest request that is let through", "size")
    max_response: int = setting(100 * MIB, "the largest answer that is taken for one", "size")
    max_header: int = setting(
        36 * KIB, "what is kept of a request to read its header; a client id may have 32 KiB", "size"
    )
    max_in_flight: int = setting(1024, "unanswered requests of a connection, after which it is not read")
    buffered: int = setting(1 * MIB, "what is kept of a message to look at it as a whole", "size")
    max_rewritten: int = setting(
        64 * MIB, "gateway: the largest response that is rewritten; beyond buffered, that is done in pieces", "size"
    )
    frame_progress: float = setting(30.0, "how long a frame that has begun may stand still", "duration")
    idle: float = setting(660.0, "a connection without a byte; brokers close theirs after 10 minutes", "duration")
    max_connections: int | None = setting(None, "Kafka connections of a listener; unset: no limit of its own")
    max_connections_per_address: int | None = setting(None, "and from one client address; unset: no limit")
    ports: str = setting(
        "", 'gateway: the ports on which brokers are reached, "29793-29892"; a new one gets the lowest that is free'
    )
    base_port: int | None = setting(
        None, "gateway: the broker with the node id N is reached on base_port + N, where that port is to be had"
    )
    advertised_host: str = setting(
        "", "gateway: the host that clients are told; empty: the address that they have connected to"
    )
    advertised_base_port: int | None = setting(
        None, "gateway: what clients are told in place of base_port, or of the first of ports; unset: that itself"
    )
    max_brokers: int | None = setting(
        None, "gateway: brokers that are given a port; unset: as many as there are ports, or 100 above base_port"
    )
    deny: tuple[str, ...] = setting((), "requests that are refused, by name or key: the connection is closed")
    allow: tuple[str, ...] = setting(
        (), "gateway: requests that pass although lproxy does not know whether their answers hold addresses"
    )
    sasl_v0: Literal["pass", "reject"] = setting(
        "pass", "SaslHandshake v0, after which raw SASL tokens follow outside of requests"
    )
    topics: bool = setting(False, "whether bytes are counted by topic, which costs a look into every batch")
    topic_cap: int = setting(200, "distinct topics as labels; further ones count as other")
    errors: bool = setting(
        False, "whether error codes and throttle times in responses to Produce and Fetch are counted: a look into each"
    )
    client_ids: bool = setting(False, "whether requests, their bytes, and errors are counted by client id as well")
    client_id_cap: int = setting(100, "distinct client ids as labels; further ones count as other")
    extra_api_keys: tuple[int, ...] = setting((), "API keys beyond the known ones that detection takes for Kafka's")
    #: from tables: node ids to addresses, names to versions, client ids to quotas
    brokers: Mapping[int, tuple[str, int]] = field(default_factory=lambda: NOTHING, hash=False)  # type: ignore[arg-type, return-value]
    max_versions: Mapping[int, int] = field(default_factory=lambda: NOTHING, hash=False)  # type: ignore[arg-type, return-value]
    quotas: Mapping[str, Quota] = field(default_factory=lambda: NOTHING, hash=False)
    filters: Filters = field(default_factory=lambda: Filters(()), hash=False)

    @property
    def gateway(self) -> bool:
        """Whether addresses are rewritten."""
        return self.mode == "gateway"

    @property
    def guards(self) -> tuple[str, ...]:
        """The settings by which something is kept from clients or brokers: connections must not pass them by."""
        kept = {
            'mode = "gateway"': self.gateway,
            "deny": self.deny,
            "filters": self.filters,
            "quotas": self.quotas,
            'sasl_v0 = "reject"': self.sasl_v0 == "reject",
            'on_invalid = "close"': self.on_invalid == "close",
            "max_connections": self.max_connections is not None,
            "max_connections_per_address": self.max_connections_per_address is not None,
            "max_request": self.max_request < MAX_REQUEST,
        }
        return tuple(setting for setting, given in kept.items() if given)

    @property
    def most_brokers(self) -> int:
        """How many brokers are given a port."""
        if not self.ports:
            return MAX_BROKERS if self.max_brokers is None else self.max_brokers
        most = len(port_range(self.ports))
        return most if self.max_brokers is None else min(most, self.max_brokers)

    @property
    def advertised_offset(self) -> int:
        """What is added to a port where clients are told it."""
        if self.advertised_base_port is None:
            return 0
        return self.advertised_base_port - (self.base_port or port_range(self.ports).start)

    @property
    def broker_ports(self) -> range:
        """
        The ports for brokers. Those above C{base_port}, which itself is node id 0's, if there is one: many have the
        listener there.
        """
        if self.ports:
            return port_range(self.ports)
        first = (self.base_port or 0) + 1
        return range(first, min(first + self.most_brokers, PORTS + 1, PORTS + 1 - self.advertised_offset))

    def further_ports(self, listen: Listen) -> range:
        """Its brokers'."""
        return self.broker_ports if self.gateway and not any(self.refuse(listen)) else range(0)

    def refuse(self, listen: Listen) -> Iterable[str]:
        """Where connections are judged by their first bytes, those that do not look like Kafka pass by its rules."""
        if listen.protocol is None and self.guards:
            yield (
                f"detect: what detection does not take for Kafka goes on as TCP, and so passes by kafka's "
                f'{", ".join(self.guards)}; write protocol = "kafka" instead, or leave "kafka" out of detect'
            )

    @property
    def fail_open(self) -> bool:
        """Whether what is no Kafka passes. Where something is kept from clients or brokers, it must not."""
        if self.on_invalid == "auto":
            return not (self.gateway or self.deny or self.filters or self.sasl_v0 == "reject")
        return self.on_invalid == "opaque"


def read(table: dict[str, Any]) -> KafkaConfig:
    """
    The configuration that C{table} describes.

    @raise ValueError: what is wrong and what would be right, each beginning with its key
    """
    checks: dict[str, Check] = {
        "deny": api_key,
        "allow": api_key,
        "advertised_host": advertisable,
        "extra_api_keys": int16,
    }
    checks |= {"base_port": port, "advertised_base_port": port, "ports": checked_range}
    tables = ("brokers", "max_versions", "quotas", "filters")
    parts: dict[str, Callable[[], Any]] = {
        "": lambda: read_own(KafkaConfig, table, checks, tables),
        "brokers": lambda: {node_id(node): address(node, text) for node, text in _table(table, "brokers").items()},
        "max_versions": lambda: _versions(_table(table, "max_versions")),
        "quotas": lambda: {client: _quota(client, quota) for client, quota in _table(table, "quotas").items()},
        "filters": lambda: Filters(_filter(path, own) for path, own in _table(table, "filters").items()),
    }
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, part in parts.items():
        try:
            values |= {name: part()} if name else part()
        except ValueError as e:
            wrong += messages_of(e)
    if wrong:
        raise Refused(wrong)
    config = KafkaConfig(**values)
    if config.gateway and config.base_port is None and not config.ports:
        raise ValueError(
            "base_port: is missing; a gateway serves the broker with node id N on base_port + N, or brokers on the "
            'ports that ports = "29793-29892" names'
        )
    if config.gateway and config.on_invalid == "opaque":
        raise ValueError('on_invalid: a gateway that passes on what it cannot read leaks addresses; write "close"')
    if config.gateway:
        _check_brokers(config)
    return config


def denied(config: KafkaConfig) -> frozenset[int]:
    """The API keys that C{deny} names."""
    return frozenset(map(int, config.deny))


def allowed(config: KafkaConfig) -> frozenset[int]:
    """The API keys that C{allow} names."""
    return frozenset(map(int, config.allow))


# checks: each returns the value, or raises Wrong


def api_key(name: str) -> str:
    """An API's key, from that or its name."""
    if name in BY_NAME:
        return str(BY_NAME[name].key)
    return str(int16(int(name))) if name.isascii() and name.isdigit() and len(name) < 6 else _no_api(name)


def _no_api(name: str) -> str:
    raise Wrong(
        f"there is no request {show(name)}", did_you_mean(name, BY_NAME) or 'write its name or key: "Fetch", "10000"'
    )


def int16(key: int) -> int:
    """A number that an API key can be."""
    if not 0 <= key < 1 << 15:
        raise Wrong(f"{key} is no API key", "write a number below 32768")
    return key


def port(number: int) -> int:
    """A port number."""
    if not 0 < number <= PORTS:
        raise Wrong(f"{number} is no port", "write a number from 1 to 65535")
    return number


def checked_range(text: str) -> str:
    """C{text} as a range of ports, or as none."""
    if text:
        match = RANGE.fullmatch(text)
        if match is None or not 0 < int(match[1]) <= int(match[2]) <= PORTS:
            raise Wrong(f"{show(text)} is no range of ports", 'write the first and the last: "29793-29892"')
    return text


def port_range(text: str) -> range:
    """The ports of a checked range."""
    first, last = map(int, text.split("-"))
    return range(first, last + 1)


def advertisable(host: str) -> str:
    """A host that can be connected to: a name, or an address of somebody's."""
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        if host and not HOST.fullmatch(host):
            raise Wrong(f"{show(host)} is no host", "write the name or address alone, without a port") from None
        return host
    if (getattr(address, "ipv4_mapped", None) or address).is_unspecified:
        raise Wrong(f"{host} is nobody's address", "write the name or address by which clients reach this host")
    return str(address)


def node_id(text: str) -> int:
    """A broker's node id, which TOML has as a key."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and text == str(int(text))):
        raise ValueError(f'brokers: {text!r} is no node id; write 1 = "kafka-1:9092"')
    return int(text)


def address(node: str, text: Any) -> tuple[str, int]:
    """A broker's host and port."""
    try:
        host, port_number = split_host_port(text)
        if not host:
            raise ValueError(text)
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f'brokers: {text!r} is no address; write {node} = "kafka-{node}:9092"') from None
    return host, port_number


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"{key}: must be a table; write [kafka.{key}] and below it its keys")
    return value


def _api(key: str, name: str) -> int:
    try:
        return int(api_key(name))
    except Wrong as e:
        raise ValueError(f"{key}: {e.wrong}; {e.right}") from e


def _versions(table: dict[str, Any]) -> dict[int, int]:
    versions: dict[int, int] = {}
    for name, version in table.items():
        key = _api("max_versions", name)
        if key in versions:
            raise ValueError(f"max_versions: {APIS[key].name} is given twice, by its name and its key")
        versions[key] = _version(name, version)
    return versions


def _check_brokers(config: KafkaConfig) -> None:
    """They have ports to be reached on, and clients can be told them."""
    if len(config.brokers) > config.most_brokers:
        raise ValueError(f"brokers: are {len(config.brokers)}; raise max_brokers, or give more ports")
    last = config.broker_ports.stop - 1 + config.advertised_offset
    if last > PORTS:
        raise ValueError(f"advertised_base_port: clients would be told ports up to {last}; lower it")


def _version(name: str, version: Any) -> int:
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version < 1 << 15:
        raise ValueError(f"max_versions: {name} must have a version, a whole number such as {APIS[1].newest}")
    return version


def _quota(client: str, table: Any) -> Quota:
    if not isinstance(table, dict) or not table:
        raise ValueError(f'quotas: {client!r} must be a table with bytes or requests: {{ bytes = "1MiB" }}')
    try:
        return Quota(**read_own(Quota, table))
    except ValueError as e:
        raise ValueError(f"quotas: {client!r}: {e}") from e


def _filter(path: str, own: Any) -> Filter:
    if not isinstance(own, dict):
        raise ValueError(f'filters: {path!r} must be a table of its settings, perhaps empty: [kafka.filters."{path}"]')
    try:
        return make(path, own)
    except ValueError as e:
        raise ValueError(f"filters: {path!r}: {e}") from e
