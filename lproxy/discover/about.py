# -*- test-case-name: tests.discover.test_about -*-
"""
What the configuration says about the endpoints of a service, besides where they are.
"""

from __future__ import annotations

from dataclasses import replace

from lproxy.config import Service
from lproxy.target import UNKNOWN, Metadata, Secure, split_host_port


def metadata(service: Service, host: str) -> Metadata:
    """
    Of an endpoint of C{service}.

    @param host: as the configuration names it, which is who it is where nothing else says so
    """
    known = Metadata(secured(service, host), service.protocol or "", service.proxy_protocol or "")
    return known if known != UNKNOWN else UNKNOWN


def of_member(service: Service, host: str) -> Metadata:
    """
    Of somebody that C{service} has told of.

    @param host: where and who it says that it is, whatever the service is named like
    """
    return metadata(replace(service, name=""), host)


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
