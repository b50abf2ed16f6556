# -*- test-case-name: tests.app.test_process -*-
"""
What a proxy has to know of the process that it is: whether others serve with it, and where its sockets come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lproxy.app.binder import Direct
from lproxy.app.sockets import Binder
from lproxy.app.workers.portion import ALONE, Portion
from lproxy.app.workers.worker import Worker


@dataclass(frozen=True, slots=True)
class Process:
    """
    @ivar portion: which one this is, of how many
    @ivar held: told, from another thread, who holds up this process
    @ivar door: where another lproxy asks for the sockets; empty: nowhere
    @ivar worker: how to talk to the supervisor; C{None} where there is none
    """

    binder: Binder
    portion: Portion = ALONE
    held: Callable[[str], None] | None = None
    door: Callable[[], str] = str
    worker: Worker | None = None


def alone(reactor: Any) -> Process:
    """The only one."""
    return Process(Direct(reactor))


def of(worker: Worker) -> Process:
    """One of several."""
    return Process(worker, worker.portion, worker.held, lambda: worker.door, worker)
