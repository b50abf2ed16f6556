# -*- test-case-name: tests.test_edits -*-
"""
What a profile's edits may say: names and values of fields, paths, hosts and statuses (L{lproxy.profile}).

Whoever reads a profile asks here, and tells its user; whoever edits a message relies on it. Each function returns what
is wrong, in words that continue "NAME ...", or nothing.
"""

from __future__ import annotations

import re
from typing import Final

#: of a field: a token (RFC 9110, 5.6.2)
NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: what RFC 9110, 5.5, has no place for in a value
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: what RFC 3986, 3.3, has no place for in a path, and the half of an escape
_NOT_IN_PATH: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!$&-;=@A-Z_a-z~%]")
#: a name, an IPv4 address, or an IPv6 address in brackets, and perhaps a port
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}))(?::([0-9]{1,5}))?")

#: what belongs to one connection only (RFC 9110, 7.6.1), which edits of messages have no say in
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "upgrade"}
)
#: what says where a message ends, and when its body is sent
_FRAMING: Final = frozenset({"content-length", "expect", "transfer-encoding"})
#: statuses of redirects that say where to go (RFC 9110, 15.4)
REDIRECTS: Final = (301, 302, 303, 307, 308)


def forbidden(name: str) -> str:
    """Why no edit may set, add or remove the field C{name}."""
    if not NAME.fullmatch(name):
        return "is no name of a header field"
    lower = name.lower()
    if lower in _HOP_BY_HOP:
        return "belongs to one connection, and is lproxy's own"
    if lower in _FRAMING:
        return "says where a message ends, and is lproxy's own"
    if lower == "host":
        return "is changed by a rewrite's host"
    # applications read them with _ for - as well
    if lower.replace("_", "-").startswith("l5d-"):
        return "is what proxies tell each other, and is lproxy's own"
    return ""


def bad_value(value: str) -> str:
    """Why no field may have the C{value}."""
    if _CONTROL.search(value):
        return "has control characters in it"
    if value != value.strip(" \t"):
        return "begins or ends with a blank"
    return ""


def bad_path(path: str) -> str:
    """Why C{path} is none: it has no query, and what is not ASCII is escaped."""
    if not path.startswith("/"):
        return "does not begin with /"
    return bad_prefix(path)


def bad_prefix(prefix: str) -> str:
    """Why C{prefix} cannot stand in the place of another; it may be empty."""
    if prefix and not prefix.startswith("/"):
        return "does not begin with /"
    if "?" in prefix or "#" in prefix:
        return "has a query or a fragment, and is to be a path alone"
    if wrong := _NOT_IN_PATH.search(prefix):
        escaped = "".join(f"%{byte:02X}" for byte in wrong[0].encode("utf-8", "backslashreplace"))
        return f"has {wrong[0]!r} in it, which a path has as {escaped}"
    return ""


def bad_host(host: str) -> str:
    """Why C{host}, with a port or without, is none."""
    match = _HOST.fullmatch(host)
    if match is None:
        return "is no host"
    if match[1] and not 0 < int(match[1]) < 65536:
        return "has a port beyond 65535" if int(match[1]) else "has the port 0"
    return ""


def bad_status(status: int, redirect: bool = False) -> str:
    """Why C{status} cannot be that of an answer, or of a C{redirect}."""
    if redirect:
        return "" if status in REDIRECTS else f"is no redirect: they are {', '.join(map(str, REDIRECTS))}"
    return "" if 200 <= status <= 599 else "is no status of an answer: they are 200 to 599"
