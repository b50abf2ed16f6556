# -*- test-case-name: tests.test_errors -*-
"""
What every failure of the proxy says: which layer, which target, which cause, and what a client is told of it.

The concrete types stand in the files that raise them. They know their cause, and the whole chain is told to whoever
asks (the body of an answer, the access log, C{/services}). What they carry is the one table from causes to answers, for
all protocols; docs/operations/errors.rst shows it.

This module is not compiled: errors of compiled and of interpreted modules share its base.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple, Protocol, Self

#: from an HTTP status that we answer ourselves to gRPC's, by number; whatever is not here is UNKNOWN (2)
GRPC: Final = {
    400: 3,  # INVALID_ARGUMENT
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    408: 4,  # DEADLINE_EXCEEDED
    413: 8,  # RESOURCE_EXHAUSTED
    414: 8,
    429: 8,
    431: 8,
    500: 13,  # INTERNAL
    501: 12,  # UNIMPLEMENTED
    502: 14,  # UNAVAILABLE
    503: 14,
    504: 4,
    508: 10,  # ABORTED
}


class ProxyError(Exception):
    """
    Base of all errors that lproxy raises while it serves.

    Subclasses set what they carry, and override L{what} to say what went wrong without naming layer, target or cause.

    @ivar target: whom it was meant for; anything with a readable C{str}
    """

    #: the layer that gave up, as users see it: C{acquire}, C{connect}, C{resolve}, ...
    layer: ClassVar[str] = "proxy"
    #: the word that it is counted under
    reason: ClassVar[str] = "failed"
    #: the reason flag of the access log
    flag: ClassVar[str] = "UF"
    #: the status of an HTTP answer
    status: ClassVar[int] = 502
    #: whether the request was refused to spare somebody: it is never tried again
    shed: ClassVar[bool] = False
    #: whether the client's connection can go on after it
    keep: ClassVar[bool] = True
    #: whether it speaks against the endpoint that it happened with, which is then passed over for a while
    blames: ClassVar[bool] = True
    #: whether it happened on a connection that stood: to connect once more is no proof that the endpoint is well again
    in_use: ClassVar[bool] = False
    #: whether nothing of the request was sent: to send it once more burdens nobody; of one error, where it differs
    unsent: bool = False
    #: seconds after which the same may be asked once more; 0: nobody can tell
    retry_after: ClassVar[int] = 0
    #: whether waiting does not help: of several endpoints' errors, it is the one that is told
    lasting: ClassVar[bool] = False

    def __init__(self, target: object) -> None:
        super().__init__(target)
        self.target = target

    def what(self) -> str:
        """What went wrong, in a few words that continue "TARGET ..."."""
        return "failed"

    def because(self, cause: BaseException | None) -> Self:
        """This error, with its cause. What C{raise ... from cause} says, which is lost in compiled modules."""
        self.__cause__ = cause
        return self

    def essential(self) -> BaseException:
        """The error that decides what a client is told: this one, unless it only reports what others said."""
        return self

    def __str__(self) -> str:
        # of a message by itself there is no target
        return " ".join(filter(None, (f"{self.layer}:", str(self.target), self.what())))


class Bug(ProxyError):
    """What nobody foresaw. The traceback is for the log; a client is told no more than this says."""

    reason = "bug"
    flag = "BUG"
    status = 500
    keep = False

    def __str__(self) -> str:
        return "internal error"


def judge(error: BaseException) -> ProxyError:
    """What a client is told of C{error}: what is essential of a known one, a L{Bug} for every other."""
    while isinstance(error, ProxyError):
        essential = error.essential()
        if essential is error:
            return error
        error = essential
    return Bug(error)


class Failed(NamedTuple):
    """
    A failure's parts, for those who show it.

    @ivar layer: that gave up
    @ivar target: whom it was meant for; empty: nobody knows
    @ivar cause: the whole story, as L{explain} has it
    @ivar waited: seconds that whoever it was for had waited; C{None} where that says nothing
    """

    layer: str
    target: str
    cause: str
    waited: float | None


class Warned(Protocol):
    """A rate-limited log."""

    def __call__(self, kind: str, text: str, parts: Failed | None = None, /) -> None:
        """
        Write a line, so many of a kind per minute and no more.

        @param parts: of the failure that C{text} tells of, for the admin server's page
        """


def in_parts(error: BaseException, target: object, waited: float | None) -> Failed:
    """The parts of C{error}; C{target}: C{None} where only the error knows it."""
    judged = judge(error)
    if target is None:
        target = "" if isinstance(judged, Bug) else judged.target
    return Failed(judged.layer, "" if target is None else str(target), explain(error), waited)


def grpc_status(status: int) -> int:
    """The status by number that gRPC callers get where others get the HTTP C{status}."""
    return GRPC.get(status, 2)


def known(base: type[ProxyError] = ProxyError) -> Iterator[type[ProxyError]]:
    """C{base} and all its subclasses, of those modules that were imported."""
    yield base
    for kind in base.__subclasses__():
        yield from known(kind)


def explain(error: BaseException) -> str:
    """
    The whole story of C{error} on one line: layer, target, what happened, then each cause.

    >>> explain(error)
    'acquire: web.local:80 not ready within 3 s: connect: 10.0.0.7:8080 refused'
    """
    parts: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        text = str(cause) or type(cause).__name__
        if text not in parts:
            parts.append(text)
        cause = cause.__cause__
    return one_line(": ".join(parts))


def one_line(text: str, limit: int = 1000) -> str:
    """C{text} without control characters, cut at C{limit} characters: fit for a header or a log line."""
    clean = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."
