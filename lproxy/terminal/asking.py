# -*- test-case-name: tests.terminal.test_asking -*-
"""
Ask the admin server of a running proxy.
"""

from __future__ import annotations

import argparse
from typing import Any


def ask(admin: str, page: str, seconds: float, arguments: argparse.Namespace) -> bytes:
    """As L{opened}, all of it."""
    with opened(admin, page, seconds, arguments) as answer:
        said: bytes = answer.read()
        return said


def opened(admin: str, page: str, seconds: float | None, arguments: argparse.Namespace) -> Any:
    """
    What an admin server has to say, to be read; raises OSError, ValueError or HTTPException.

    @param seconds: that it may say nothing; C{None}: for ever
    @param admin: C{IP:port}, or a URL where it is not plain HTTP
    @param arguments: with those of L{secure}
    """
    # half of the time that a short command takes goes into such imports
    from urllib.request import BaseHandler, HTTPSHandler, ProxyHandler, build_opener

    # never by way of a proxy, which is what is asked
    handlers: list[BaseHandler] = [ProxyHandler({})]
    address = admin.rstrip("/") if "://" in admin else f"http://{admin}"
    if address.startswith("https:"):
        from lproxy.transport.tls.asking import asking

        handlers.append(HTTPSHandler(context=asking(arguments.ca, arguments.certificate, arguments.key)))
    return build_opener(*handlers).open(f"{address}/{page}", timeout=seconds)


def secure(command: argparse.ArgumentParser) -> None:
    """The arguments for an admin server that speaks https."""
    command.add_argument("--ca", metavar="FILE", help="PEM: whom to believe that it is, else whom OpenSSL does")
    command.add_argument("--certificate", metavar="FILE", help="PEM: to show where it asks for one (admin.client_ca)")
    command.add_argument("--key", metavar="FILE", help="PEM: its key, where that is not in the same file")
