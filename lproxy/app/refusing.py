# -*- test-case-name: tests.app.test_refusing -*-
"""
Connections that are closed because of who their clients are, as their protocol does not tell them so itself.
"""

from __future__ import annotations

from lproxy.app.secure import ACCESS_DENIED, OPAQUE, turn_away
from lproxy.errors import ProxyError, explain, in_parts
from lproxy.protocols.runtime import Runtime
from lproxy.protocols.session import Accepted
from lproxy.target import Target
from lproxy.transport.stream import Conn


class Refusing:
    """
    Of one listener, and of the services that its connections go to.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def may(self, conn: Conn, target: Target | None) -> bool:
        """Whether bytes of such a client go on to C{target}, where they go by themselves."""
        judge = self._runtime.judge
        return judge(conn) is None and (target is None or judge(conn, target) is None)

    def refused(self, accepted: Accepted) -> bool:
        """Whether a connection goes no further: it is counted then, told with one line, and closed."""
        stream, runtime = accepted.stream, self._runtime
        error = self._error(stream.conn)
        if error is None:
            return False
        runtime.warn(
            f"policy-{error.reason}",
            f"listener {runtime.listen.name}: a {accepted.protocol} connection from {stream.conn.peer[0]} was closed: "
            f"{explain(error)}",
            in_parts(error, None, None),
        )
        if accepted.dialled is not None:
            accepted.dialled.close()
        if stream.conn.no_tls_reason == OPAQUE:
            turn_away(stream, ACCESS_DENIED)
        else:
            stream.close()
        return True

    def _error(self, conn: Conn) -> ProxyError | None:
        runtime = self._runtime
        error = runtime.refuse(conn)
        if error is not None:
            return error
        target = runtime.destination(conn)
        return runtime.refuse(conn, target) if target is not None else None
