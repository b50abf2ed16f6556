# -*- test-case-name: tests.admin.test_negotiate -*-
"""
What a client would rather have (RFC 9110, 12): media types by Accept, codings by Accept-Encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: a weight (RFC 9110, 12.4.2)
WEIGHT = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
#: an element of a list: commas within quotes separate nothing
ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;]*)')
#: an offer: C{type/subtype} and the parameters that it has; of these, only C{version} is looked at
Offer = tuple[str, str]


def accepted(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each element of C{header}: its value, its parameters, and its weight."""
    for element in ELEMENT.findall(header):
        value = element.partition(";")[0].strip().lower()
        if not value:
            continue
        parameters = {name.lower(): said.strip('"') for name, said in PARAMETER.findall(element)}
        weight = parameters.pop("q", "1")
        # a weight that is none is as if nothing were wanted
        yield value, parameters, float(weight) if WEIGHT.fullmatch(weight) else 0.0


def preferred(header: str, offers: Sequence[Offer]) -> Offer:
    """
    Which of C{offers}, each a media type and its version, is wanted most; the first of them where none is, or nobody
    says.
    """
    best, most = offers[0], 0.0
    elements = list(accepted(header))
    for kind, version in offers:
        weight, closest = 0.0, -1
        for value, parameters, q in elements:
            # the most specific that fits decides (RFC 9110, 12.5.1)
            if value == kind and parameters.get("version", version) == version:
                close = 2 + ("version" in parameters)
            elif value == f"{kind.partition('/')[0]}/*":
                close = 1
            elif value == "*/*":
                close = 0
            else:
                continue
            if close > closest or (close == closest and q > weight):
                weight, closest = q, close
        if weight > most:
            best, most = (kind, version), weight
    return best


def wants_gzip(header: str) -> bool:
    """Whether C{header}, an Accept-Encoding, asks for gzip, and for nothing else rather."""
    weights = {value: q for value, _, q in accepted(header)}
    gzip = max((weights[name] for name in ("gzip", "x-gzip") if name in weights), default=weights.get("*", 0.0))
    # what is not named is as good as anything (RFC 9110, 12.5.3)
    return gzip > 0.0 and gzip >= weights.get("identity", 0.0)
