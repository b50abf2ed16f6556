# -*- test-case-name: tests.protocols.http.explain.test_request -*-
"""
A request as a user writes it on a command line, as the proxy sees it.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from lproxy.config import Limits
from lproxy.protocols.http.h1.read import RequestReader
from lproxy.protocols.http.message import Rejected, Request
from lproxy.protocols.http.route import DEFAULT_PORT, HTTPS_PORT
from lproxy.target import join_host_port

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: what would make several lines of one
LINE_END = re.compile(r"[\r\n]")


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
    The request of C{method} for C{url}, with C{headers} such as C{"x-user: alice"}: what is read of it where it comes
    in is read of it here.

    @raise NoRequest: it is none
    """
    if not TOKEN.fullmatch(method):
        raise NoRequest(f"{method!r} is no method")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NoRequest(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or LINE_END.search(url):
        raise NoRequest(f"{url!r} is no URL: write one such as http://web.local/books?page=2")
    authority = parts.netloc.rpartition("@")[2].lower()
    lines: list[str] = []
    for one in headers:
        name, colon, value = one.partition(":")
        if not colon or not TOKEN.fullmatch(name) or LINE_END.search(one):
            raise NoRequest(f"{one!r} is no header: write NAME: VALUE")
        if name.lower() == "host":
            # who is asked is one thing, and whom the request is for another
            authority = value.strip()
        else:
            lines.append(f"{name}: {value.strip()}")
    # as it is written, which urlsplit does not keep; what follows # nobody is sent
    target = url.partition("#")[0].partition("://")[2][len(parts.netloc) :]
    target = target if target.startswith("/") else f"/{target}"
    method = method.upper()
    if method == "CONNECT":
        target = join_host_port(parts.hostname, port or (HTTPS_PORT if parts.scheme == "https" else DEFAULT_PORT))
    try:
        first = f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n".encode("ascii")
    except UnicodeEncodeError as error:
        raise NoRequest(f"{url!r} has other characters than a URL's: write them as %XX, hosts as xn--...") from error
    reader = RequestReader(Limits())
    reader.feed(first + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
    try:
        request = reader.head()
    except Rejected as error:
        raise NoRequest(f"such a request is answered {error.status}, {error.what()}") from error
    finally:
        reader.close()
    assert request is not None
    return Asked(request, parts.scheme == "https", parts.hostname, port)
