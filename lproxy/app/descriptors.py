# -*- test-case-name: tests.app.test_descriptors -*-
"""
File descriptors: how many there are, and how many of them clients may have.

Whoever accepts as many clients as there are descriptors has none left to serve them with. So clients leave some to
upstreams, fewer than one each, as most clients are idle at any moment and connections to upstreams are shared; and some
to the admin server, DNS, pipes and files.
"""

from __future__ import annotations

import resource

from lproxy.app.log import log

#: descriptors that are neither a client's nor an upstream's
RESERVE = 32
#: of the others, one in so many is an upstream's
UPSTREAMS = 4


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
            "{most} clients at most, the others are for upstreams",
            wanted=connections,
            descriptors=descriptors,
            most=most,
        )
    return min(connections, most)


def most_clients(descriptors: int) -> int:
    """How many clients there may be with so many descriptors, at least one."""
    others = descriptors - RESERVE
    return max(1, others - others // UPSTREAMS)
