# -*- test-case-name: tests.protocols.tcp.test_rescue -*-
"""
What becomes of a failure where all that can be said to a client is to close.
"""

from __future__ import annotations

from twisted.python.failure import Failure

from lproxy.errors import ProxyError, explain
from lproxy.protocols.runtime import Runtime
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Target

#: reason flags of the access log, as HTTP's
FLAGS: tuple[tuple[type[ProxyError], str], ...] = (
    (TooManyInFlight, "UO"),
    (AcquireTimedOut, "UT"),
    (FailedFast, "UH"),
    (ProxyError, "UF"),
)


def rescue(failure: Failure, runtime: Runtime, protocol: str, target: Target | None, waited: float) -> str:
    """
    Log why a connection is closed: a line for what can happen, a traceback for what must not.

    @return: the access log's reason flags
    """
    error = failure.value
    for kind, flags in FLAGS:
        if isinstance(error, kind):
            runtime.warn(
                f"tcp-{flags}",
                f"listener {runtime.listen.name}: {protocol} connection to {target} closed after {waited:.3f} s: "
                f"{explain(error)}",
            )
            return flags
    runtime.crashed(protocol, failure)
    return "BUG"
