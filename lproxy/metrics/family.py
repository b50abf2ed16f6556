# -*- test-case-name: tests.metrics.test_exposition -*-
"""
A metric family as of one scrape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from lproxy.metrics.counters import Histogram

#: names and values of one series, in the order in which they are shown
Labels = tuple[tuple[str, str], ...]
Kind = Literal["counter", "gauge", "histogram"]


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
