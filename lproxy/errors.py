# -*- test-case-name: tests.test_errors -*-
"""
What every failure of the proxy says: which layer, which target, which cause.

The concrete types stand in the files that raise them. They are raised C{from} their cause, and the
whole chain is told to whoever asks (the body of an answer, the access log, C{/services}).
"""

from __future__ import annotations

from typing import ClassVar


class ProxyError(Exception):
    """
    Base of all errors that lproxy raises while it serves.

    Subclasses are dataclasses with a C{target}; they set C{layer} to the word that users see and
    override L{what} to say what went wrong, without naming layer, target or cause again.
    """

    #: the layer that gave up, as users see it: C{acquire}, C{connect}, C{resolve}, ...
    layer: ClassVar[str] = "proxy"
    #: whom it was meant for; anything with a readable C{str}
    target: object

    def what(self) -> str:
        """What went wrong, in a few words that continue "TARGET ..."."""
        return "failed"

    def __str__(self) -> str:
        return f"{self.layer}: {self.target} {self.what()}"


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
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."
