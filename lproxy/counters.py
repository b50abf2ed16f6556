# -*- test-case-name: tests.metrics.test_counters -*-
"""
Where L{lproxy.metrics.counters} was, for imports that have not moved yet.
"""

from lproxy.metrics.counters import SECONDS, AcquireCounter, DetectCounter, Histogram, Metered, TransportCounter
from lproxy.metrics.family import Family, Labels

__all__ = [
    "SECONDS",
    "AcquireCounter",
    "DetectCounter",
    "Family",
    "Histogram",
    "Labels",
    "Metered",
    "TransportCounter",
]
