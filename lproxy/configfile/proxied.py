# -*- test-case-name: tests.configfile.test_proxied -*-
"""
The PROXY protocol: whose word is taken, and which services can be told.
"""

from __future__ import annotations

from lproxy.config import Config, Listen, Service
from lproxy.configfile.address import any_socket_of
from lproxy.configfile.pauses import pause
from lproxy.configfile.problem import Path, Report, show


def check_proxied(config: Config, report: Report) -> None:
    """Report what contradicts itself in C{config}."""
    for index, listen in enumerate(config.listen):
        check_listener(listen, ("listen", index), report)
    for name, service in config.services.items():
        pause()
        check_service(service, ("services", name), report)


def check_listener(listen: Listen, path: Path, report: Report) -> None:
    """Who may say for whom a connection is."""
    if listen.proxy_protocol == "off":
        if listen.proxy_protocol_from:
            right = 'write proxy_protocol = "require", or leave it out'
            report.warning((*path, "proxy_protocol_from"), "is unused: no header is looked for", right)
        return
    own = any_socket_of(listen.address)
    if not listen.proxy_protocol_from and own is not None and not own.ip.is_loopback:
        wrong = "whoever can connect may claim to be anybody"
        report.warning(
            (*path, "proxy_protocol"), wrong, "write proxy_protocol_from = [...], the load balancers' networks"
        )


def check_service(service: Service, path: Path, report: Report) -> None:
    """What a service can be told, and how."""
    if service.proxy_protocol is None:
        return
    if service.protocol == "http2":
        wrong = f"{show(service.protocol)} has many clients on one connection, of which a header tells one"
        report.error((*path, "protocol"), wrong, "leave out this or proxy_protocol, with which HTTP/1.1 is spoken")
    for key, given in (("tls", service.tls), ("identity", bool(service.identity))):
        if given:
            wrong = (
                f"{show(service.proxy_protocol)} would go before TLS, which is set up before it is known for whom; the "
                "two cannot be combined"
            )
            report.error((*path, "proxy_protocol"), wrong, f"leave out this or {key}")
            break
