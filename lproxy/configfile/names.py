# -*- test-case-name: tests.configfile.test_names -*-
"""
Who somebody is, as certificates say it: DNS names and SPIFFE IDs, patterns of them, and names of servers.
"""

from __future__ import annotations

import ipaddress
import re

from lproxy.configfile.address import HOST_NAME
from lproxy.configfile.problem import Wrong, show

#: of a SPIFFE ID's path, what stands between two slashes: not dots alone, as in those of files
SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+"
#: a SPIFFE ID: its trust domain, and a path
SPIFFE = re.compile(rf"spiffe://[a-z0-9._-]{{1,255}}(/{SEGMENT})+")
#: all whose IDs begin like that
SPIFFE_PATTERN = re.compile(rf"spiffe://[a-z0-9._-]{{1,255}}(/{SEGMENT})*/(\*|{SEGMENT})")
LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
#: a DNS name; one that ends in a number is an address
DNS = re.compile(rf"(?=.{{1,253}}$)(?!.*\.[0-9]+$){LABEL}(\.{LABEL})*\.?")
#: a DNS name, all whose names begin like that, or end like it; or everybody
DNS_PATTERN = re.compile(rf"(?=.{{1,253}}$)(\*|(\*\.)?{LABEL}(\.{LABEL})*|{LABEL}(\.{LABEL})*\.\*)")

NAMES = 'write a DNS name such as "web.shop.mesh", or a SPIFFE ID such as "spiffe://shop/web"'
PATTERNS = 'write a whole name, or with * for the labels at one end: "web.shop.*", "*.shop.mesh", "spiffe://shop/*"'


def identity_name(text: str) -> str:
    """C{text} as who somebody is, or L{Wrong}; the DNS name in lower case. Nobody is nobody."""
    if not text:
        return ""
    if "://" in text:
        if not SPIFFE.fullmatch(text):
            raise Wrong(f"{show(text)} is no SPIFFE ID", NAMES)
        return text
    if not DNS.fullmatch(text):
        raise Wrong(f"{show(text)} is no identity", NAMES)
    return text.lower().removesuffix(".")


def identity_pattern(text: str) -> str:
    """C{text} as a pattern of such, or L{Wrong}."""
    if "://" in text:
        if not SPIFFE_PATTERN.fullmatch(text):
            raise Wrong(f"{show(text)} is no pattern of SPIFFE IDs", PATTERNS)
        return text
    if not DNS_PATTERN.fullmatch(text):
        raise Wrong(f"{show(text)} is no pattern of identities", PATTERNS)
    return text.lower()


def server_name(text: str) -> str:
    """C{text} as the name in a server's certificate, or L{Wrong}; the name in lower case. Empty stays so."""
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not HOST_NAME.fullmatch(text):
        right = "write it without scheme, port and path" if re.search("[:/]", text) else ""
        raise Wrong(f"{show(text)} is neither a host name nor an IP address", right)
    return text.lower().removesuffix(".")
