# -*- test-case-name: tests.discover.test_names -*-
"""
Which names can be looked up in DNS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: letters, digits, hyphens, and underscores, which host names may not have but do; IDNs arrive as xn--
LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
#: a name on the wire takes at most 255 bytes, among them the first length and the last zero
LONGEST = 253


def checked(host: str) -> str:
    """
    C{host} in lower case, a last dot kept.

    @raise ValueError: no such name can be looked up; the text says why
    """
    labels = host.removesuffix(".").split(".")
    for label in labels:
        if LABEL.fullmatch(label) is None:
            raise ValueError(_why(label))
    if labels[-1].isdigit():
        raise ValueError("a name does not end in a number, and it is no IP address")
    if len(host.removesuffix(".")) > LONGEST:
        raise ValueError(f"the name is longer than {LONGEST} characters")
    return host.lower()


def _why(label: str) -> str:
    if not label:
        return "a label of the name is empty"
    if len(label) > 63:
        return "a label of the name is longer than 63 characters"
    if not label.isascii():
        return "the name is not ASCII; an international one is written as xn--..."
    return "the name has characters other than letters, digits, hyphens, underscores and dots"


def candidates(host: str, search: Iterable[str] = (), ndots: int = 1) -> tuple[str, ...]:
    """
    The names that C{host} may mean, most likely first, as resolv.conf(5) says.

    @param host: a L{checked} name; with a last dot it means itself alone
    @param search: domains to look for it in
    @param ndots: with so many dots it is first taken as it stands
    """
    if host.endswith("."):
        return (host[:-1],)
    below = [name for name in (f"{host}.{domain}" for domain in search) if len(name) <= LONGEST]
    return tuple(dict.fromkeys((host, *below) if host.count(".") >= ndots else (*below, host)))
