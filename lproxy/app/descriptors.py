# -*- test-case-name: tests.app.test_descriptors -*-
"""
File descriptors: how many there are, and how many of them clients may have.

Whoever accepts as many clients as there are descriptors has none left to serve them with. So every client's connection
leaves room for an upstream's, and some are kept for the admin server, DNS, pipes and files.
"""

from __future__ import annotations

import resource

from lproxy.app.log import log

#: descriptors that are neither a client's nor its upstream's
RESERVE = 32


def raise_limit() -> int:
    """Have as many descriptors as this process may (its hard limit); returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return soft
    if soft < hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft
    return hard


def allowed(connections: int) -> int:
    """How many clients there may be where so many are wanted, with as many descriptors as can be had."""
    descriptors = raise_limit()
    most = most_clients(descriptors)
    if connections > most:
        log.warn(
            "limits.connections = {wanted} cannot be had with {descriptors} descriptors (ulimit -n, LimitNOFILE): "
            "{most} clients at most, each with an upstream",
            wanted=connections,
            descriptors=descriptors,
            most=most,
        )
    return min(connections, most)


def most_clients(descriptors: int) -> int:
    """How many clients can be served with so many descriptors, at least one."""
    return max(1, (descriptors - RESERVE) // 2)
