# -*- test-case-name: tests.supervise.test_how -*-
"""
How processes end, in words.
"""

from __future__ import annotations

import signal


def how(status: int) -> str:
    """How a process has ended, in words."""
    if status < 0:
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    return f"ended with status {status}"
