# -*- test-case-name: tests.protocols.http.explain.test_request -*-
"""
A request as a user writes it on a command line, as the proxy sees it.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from lproxy.protocols.http.message import Headers, Request

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class NoRequest(ValueError):
    """What was written is none, and why."""


class Asked(NamedTuple):
    """
    One request.

    @ivar https: whether it is asked by https
    @ivar host: whom the URL names, and C{port}; C{None}: that of its scheme
    """

    request: Request
    https: bool
    host: str
    port: int | None


def asked(method: str, url: str, headers: list[str]) -> Asked:
    """
    The request of C{method} for C{url}, with C{headers} such as C{"x-user: alice"}.

    @raise NoRequest: it is none
    """
    if not TOKEN.fullmatch(method):
        raise NoRequest(f"{method!r} is no method")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NoRequest(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NoRequest(f"{url!r} is no URL: write one such as http://web.local/books?page=2")
    authority = parts.netloc.rpartition("@")[2].lower()
    fields: Headers = []
    for one in headers:
        name, colon, value = one.partition(":")
        if not colon or not TOKEN.fullmatch(name):
            raise NoRequest(f"{one!r} is no header: write NAME: VALUE")
        if name.lower() == "host":
            # who is asked is one thing, and whom the request is for another
            authority = value.strip()
        else:
            fields.append((name.encode("ascii"), value.strip().encode("utf-8")))
    try:
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}".encode("ascii")
        named = authority.encode("ascii")
    except UnicodeEncodeError as error:
        raise NoRequest(f"{url!r} has other characters than a URL's: write them as %XX, hosts as xn--...") from error
    fields.insert(0, (b"Host", named))
    request = Request(method.upper().encode("ascii"), target, fields, 0, named, False)
    return Asked(request, parts.scheme == "https", parts.hostname, port)
