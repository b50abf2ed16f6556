# -*- test-case-name: tests.discover.test_lookup -*-
"""
One look-up of a host: both families at once, each CNAME followed, one candidate name after the other.

It ends well, always: what went wrong is part of the outcome. Cancelling makes it end now, with what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.names import dns
from twisted.names.error import AuthoritativeDomainError, DNSNameError, DomainError

from .names import checked
from .records import Alias, Answer, read

#: CNAMEs that lead out of an answer; those within one are followed as far as they go
MAX_ALIASES = 8


class Lookups(Protocol):
    """As much of C{IResolver} as is needed; Deferreds of answers, authority and additional sections."""

    def lookupAddress(self, name: str) -> Deferred[Any]:
        """The A records."""

    def lookupIPV6Address(self, name: str) -> Deferred[Any]:
        """The AAAA records."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Those who know say that there is no such record."""

    error: Exception

    @property
    def no_name(self) -> bool:
        """Whether there is no such name either, hence no record of any other type."""
        return isinstance(self.error, DNSNameError)


@dataclass(frozen=True, slots=True)
class Failed:
    """Nobody could say."""

    error: Exception


Result = Answer | Absent | Failed


class Outcome(NamedTuple):
    """What became of both families."""

    a: Result
    aaaa: Result

    @property
    def answers(self) -> list[Answer]:
        """The good ones."""
        return [result for result in self if isinstance(result, Answer)]

    @property
    def absence(self) -> Absent | None:
        """Whether it is certain that there is no address. (Some answer NXDOMAIN for AAAA where there is an A.)"""
        absent = [result for result in self if isinstance(result, Absent)]
        if self.answers or not (len(absent) == len(self) or any(result.no_name for result in absent)):
            return None
        return next((result for result in absent if result.no_name), absent[0])

    @property
    def error(self) -> Exception:
        """Why there is no answer and no certainty either."""
        return next(result.error for result in self if isinstance(result, Failed))


#: told of each good answer as it comes: the name it is about, the record type, the answer
Found = Callable[[str, int, Answer], None]


async def look_up(resolver: Lookups, names: Sequence[str], found: Found) -> Outcome:
    """
    Ask for each of C{names} in turn while those before are known not to exist.

    A failure ends the search: a resolver's bad moment must not send traffic to a namesake in the next domain.

    @param found: told of a family as soon as it is known, so that nobody waits for the other one
    """
    outcome = None
    for name in names:
        outcome = Outcome(
            *await gatherResults(
                [Deferred.fromCoroutine(_family(resolver, name, kind, found)) for kind in (dns.A, dns.AAAA)],
                consumeErrors=True,
            )
        )
        if outcome.absence is None:
            break
    assert outcome is not None, "no name to look up"
    return outcome


async def _family(resolver: Lookups, name: str, kind: int, found: Found) -> Result:
    ask = resolver.lookupAddress if kind == dns.A else resolver.lookupIPV6Address
    at, ttl = name, float("inf")
    try:
        for _ in range(MAX_ALIASES):
            records, _, _ = await maybeDeferred(ask, at)
            match read(records, at, kind):
                case Answer() as answer:
                    answer = Answer(answer.addresses, min(ttl, answer.ttl))
                    break
                case Alias() as alias:
                    # what cannot be asked for is not asked for
                    at, ttl = checked(alias.name), min(ttl, alias.ttl)
                case None:
                    return Absent(DomainError(f"{at} has no {dns.QUERY_TYPES[kind]} record"))
        else:
            return Failed(ValueError(f"more than {MAX_ALIASES} CNAMEs"))
    # a resolver may fail in any manner of its own, and cancellation is one of them
    except Exception as e:
        return Absent(e) if _is_absence(e) else Failed(e)
    found(name, kind, answer)
    return answer


def _is_absence(error: Exception) -> bool:
    # servers' own troubles are subclasses of DomainError
    return isinstance(error, DNSNameError | AuthoritativeDomainError) or type(error) is DomainError
