# -*- test-case-name: tests.admin.test_asking -*-
"""
Ask the admin server of another lproxy, and wait for the answer: for commands, and for who takes its place.
"""

from __future__ import annotations

from typing import Any


def ask(
    admin: str,
    page: str,
    seconds: float,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
) -> bytes:
    """As L{opened}, all of it."""
    with opened(admin, page, seconds, ca, certificate, key) as answer:
        said: bytes = answer.read()
        return said


def opened(
    admin: str,
    page: str,
    seconds: float | None,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
) -> Any:
    """
    What an admin server has to say, to be read; raises OSError, ValueError or HTTPException.

    @param admin: C{IP:port}, or a URL where it is not plain HTTP
    @param seconds: that it may say nothing; C{None}: for ever
    @param ca: and C{certificate}, C{key}: as for L{lproxy.transport.tls.asking.asking}, where it speaks https
    """
    # half of the time that a short command takes goes into such imports
    from urllib.request import BaseHandler, HTTPSHandler, ProxyHandler, build_opener

    # never by way of a proxy, which is what is asked
    handlers: list[BaseHandler] = [ProxyHandler({})]
    address = admin.rstrip("/") if "://" in admin else f"http://{admin}"
    if address.startswith("https:"):
        from lproxy.transport.tls.asking import asking

        handlers.append(HTTPSHandler(context=asking(ca, certificate, key)))
    return build_opener(*handlers).open(f"{address}/{page}", timeout=seconds)
