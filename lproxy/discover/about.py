# -*- test-case-name: tests.discover.test_about -*-
"""
What the configuration says about the endpoints of a service, besides where they are.
"""

from __future__ import annotations

from lproxy.config import Service
from lproxy.target import UNKNOWN, Metadata, Secure, split_host_port


def metadata(service: Service, host: str) -> Metadata:
    """
    Of an endpoint of C{service}.

    @param host: as the configuration names it, which is who it is where nothing else says so
    """
    secure = secured(service, host)
    if secure is None and not service.protocol:
        return UNKNOWN
    return Metadata(secure, service.protocol or "")


def secured(service: Service, host: str) -> Secure | None:
    """How connections to C{host} are secured; C{None}: they are not."""
    if service.identity:
        return Secure(service.identity, identity=True)
    if not service.tls:
        return None
    name = service.server_name or named(service.name) or host
    return Secure(name, ca=service.ca, certificate=service.certificate, key=service.key)


def named(service: str) -> str:
    """The host that a service is named like, as clients ask for it; empty where its name is no authority."""
    try:
        return split_host_port(service)[0].lower().removesuffix(".")
    except ValueError:
        return ""
