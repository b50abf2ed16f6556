# -*- test-case-name: tests.app.workers.test_cores -*-
"""
How many cores this process may use.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from lproxy.config import AUTO, Config

#: a container's bound on CPU time: microseconds, and of how many
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def workers(config: Config, quota: Path = QUOTA) -> int:
    """How many workers C{config} asks for."""
    return cores(quota) if config.workers == AUTO else config.workers


def cores(quota: Path = QUOTA) -> int:
    """Those that it may run on, but no more than it gets time of (cgroup v2); at least one."""
    here = len(os.sched_getaffinity(0))
    try:
        most, period = quota.read_text().split()
        return max(1, min(here, math.ceil(int(most) / int(period))))
    except (OSError, ValueError):
        return here  # no bound: the word is max
