# -*- test-case-name: tests.protocols.http.test_retry -*-
"""
May a request be sent once more?

Not how: a further try is a new acquisition (L{lproxy.stack.retry}), under its clock, through the balancer and within
its service's budget. Without being asked to, a request is sent once more where that can do no harm, and what ended the
first try says nothing of the next (L{may_replay}). A route can ask for more (L{Again}): for answers that are failures,
for tries that take too long and for whatever an upstream breaks off, of methods that may be repeated.
"""

from __future__ import annotations

from lproxy.api import Endpoint, ProxyError
from lproxy.profile import Retries
from lproxy.protocols.http.grpc import NO_CALL, http_status
from lproxy.protocols.http.message import IDEMPOTENT, Headers, Request, find
from lproxy.protocols.http.profile.classes import Classes
from lproxy.protocols.http.standing import OF_THE_REQUEST
from lproxy.protocols.http.streams import BadResponse, UpstreamLost
from lproxy.protocols.http.timeouts import CallTimedOut

#: how often a request was sent before, as servers are told
ATTEMPT = b"l5d-retry-attempt"


class Unwanted(ProxyError):
    """An answer that a request's route has it sent once more for. Nobody is told this: the answer is passed on then."""

    layer = "upstream"
    reason = "unwanted_answer"
    flag = "UF"
    status = 502
    in_use = True

    def __init__(self, target: Endpoint, answer: int, grpc: int) -> None:
        super().__init__(target)
        self.answer = answer
        self.grpc = grpc

    def what(self) -> str:
        """What it answered."""
        return f"answered {self.answer}" if self.grpc == NO_CALL else f"answered with grpc-status {self.grpc}"


def may_replay(head: Request, whole: bool, error: BaseException) -> bool:
    """
    Whether a further try cannot do what one that ended with C{error} has done already.

    That is sure only where the upstream cannot have seen it, or where to do it twice is as good as once (RFC 9110,
    9.2.2).

    @param whole: whether the request has all of its body
    """
    if not isinstance(error, UpstreamLost) or error.answered:
        return False
    if error.unsent:
        return True
    if not error.reused and not error.elsewhere:
        return False  # it did not die of having been idle, and would die again
    if head.protocol:
        return head.protocol == b"websocket"
    return whole and head.method in IDEMPOTENT and (not head.upgrade or is_websocket(head))


def is_websocket(head: Request) -> bool:
    """Whether it asks for a WebSocket: a GET like others until it is answered (RFC 6455, 4.1)."""
    return head.upgrade and (find(head.headers, b"upgrade") or b"").lower() == b"websocket"


class Again:
    """
    When a route's requests are sent once more: its L{Retries}, ready to be asked.

    @ivar tries: how often one is sent at most
    @ivar body: bytes of a body that are kept to be sent again
    @ivar _said: of answers that were asked for, by status and grpc-status
    """

    __slots__ = ("_classes", "_retries", "_said", "body", "tries")

    def __init__(self, retries: Retries, classes: Classes) -> None:
        self._retries = retries
        self._classes = classes
        self._said: dict[tuple[int, int], bool] = {}
        self.tries = retries.tries
        self.body = retries.body

    def may(self, request: Request) -> bool:
        """Whether C{request} may be sent once more, whatever became of it."""
        return repeatable(request, self._retries)

    def unwanted(self, status: int, grpc: int) -> bool:
        """
        Whether an answer is a reason.

        @param grpc: what came of a call; L{NO_CALL}: it was none, or that is not known from its head
        """
        said = self._said.get((status, grpc))
        if said is None:
            said = self._said[status, grpc] = self._look(status, grpc)
        return said

    def _look(self, status: int, grpc: int) -> bool:
        retries = self._retries
        if grpc in retries.grpc or any(first <= status <= last for first, last in retries.statuses):
            return True
        if not retries.classified or not self._classes.failure(status, grpc):
            return False
        # what speaks of the request fails everywhere
        return (status if grpc == NO_CALL else http_status(grpc)) not in OF_THE_REQUEST


def repeatable(request: Request, retries: Retries | None) -> bool:
    """Whether C{request} may be sent more than once, as its method or its route has it."""
    if request.upgrade or request.protocol or request.private or request.method == b"CONNECT":
        return False
    return request.method in IDEMPOTENT or (retries is not None and retries.unsafe)


def broken_off(error: ProxyError) -> bool:
    """Whether C{error} says that a try has come to nothing, and another may come to something."""
    if isinstance(error, CallTimedOut):
        return error.of_one_try
    return isinstance(error, (UpstreamLost, BadResponse))


def attempt(headers: Headers, tries: int) -> Headers:
    """C{headers} of a request that was sent C{tries} times before."""
    return [*[field for field in headers if field[0] != ATTEMPT], (ATTEMPT, b"%d" % tries)]
