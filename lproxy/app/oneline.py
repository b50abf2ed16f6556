# -*- test-case-name: tests.app.test_oneline -*-
"""
What keeps lproxy from starting is one line, not a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lproxy.app.assembly import CannotStart
from lproxy.app.log import log


@contextmanager
def one_line() -> Iterator[None]:
    """
    Let L{CannotStart} end the process with a line on standard error instead of a traceback.

    It is not turned into SystemExit: only on an exception does twistd remove its pidfile, and tell the waiting parent
    of a daemon.
    """
    try:
        yield
    except CannotStart:
        sys.excepthook = cannot_start
        raise


def cannot_start(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    """A C{sys.excepthook}."""
    if not isinstance(error, CannotStart):
        sys.__excepthook__(kind, error, traceback)
        return
    if sys.stderr is not sys.__stderr__:
        # redirected to the log by now, and a daemon has nothing else
        log.critical("{error}", error=str(error))
    print(f"lproxy: {error}", file=sys.__stderr__)
