# -*- test-case-name: tests.metrics.test_family -*-
"""
A metric family as of one scrape, and what it has to be for Prometheus to read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, cast, get_args

from lproxy.metrics.counters import Histogram

#: names and values of one series, in the order in which they are shown
Labels = tuple[tuple[str, str], ...]
Kind = Literal["counter", "gauge", "histogram"]

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Family(NamedTuple):
    """
    A family's header and its samples.

    @ivar name: a protocol's own begin with the protocol's name, C{kafka_requests_total}
    @ivar help: one sentence that a newcomer understands
    @ivar samples: labels and values, L{Histogram} in a histogram's family; may be a generator. Where several sources
        have samples of one family with the same labels, the sum is shown
    """

    name: str
    kind: Kind
    help: str
    samples: Iterable[tuple[Labels, float | Histogram]]


class BadFamily(ValueError):
    """A family or sample that cannot be shown: Prometheus would refuse the whole page."""


def check_family(family: Any) -> None:
    """
    See to all but the samples.

    @raise BadFamily: what is wrong
    """
    if not isinstance(family, Family):
        raise BadFamily(f"{family!r} is no Family")
    name, kind, help, _ = cast("tuple[Any, ...]", family)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadFamily(f"{name!r} cannot be the name of a family")
    if kind not in get_args(Kind):
        raise BadFamily(f"{name}: {kind!r} is no kind; there are {', '.join(get_args(Kind))}")
    if not isinstance(help, str):
        raise BadFamily(f"{name}: help {help!r} is no text")


def check_sample(family: Family, labels: Any, value: Any) -> None:
    """
    See to one of the samples of a L{check_family}.

    @raise BadFamily: what is wrong
    """
    for key, text in labels:
        if not LABEL.fullmatch(key) or key == "le" or not isinstance(text, str):
            raise BadFamily(f"{family.name}: {key!r}: {text!r} is no label with its value")
    if not isinstance(value, Histogram if family.kind == "histogram" else int | float):
        raise BadFamily(f"{family.name}: {value!r} is no value of a {family.kind}")
