# -*- test-case-name: tests.discover.test_lookup -*-
"""
One look-up of a host: both families in parallel, CNAMEs followed, one candidate name after the other.

It never raises: errors are part of the outcome. Cancelling ends it at once, with the answers so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.names import dns
from twisted.names.error import AuthoritativeDomainError, DNSNameError, DomainError

from lproxy.discover.names import checked
from lproxy.discover.records import Alias, Answer, read

#: CNAMEs that need another query; those within one answer are followed without a limit
MAX_ALIASES = 8


class Lookups(Protocol):
    """As much of C{IResolver} as is needed; Deferreds of answers, authority and additional sections."""

    def lookupAddress(self, name: str) -> Deferred[Any]:
        """The A records."""

    def lookupIPV6Address(self, name: str) -> Deferred[Any]:
        """The AAAA records."""


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such record, by an authoritative answer."""

    error: Exception

    @property
    def no_name(self) -> bool:
        """Whether the name does not exist (NXDOMAIN), so that it has no records of any type."""
        return isinstance(self.error, DNSNameError)


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer: SERVFAIL, timeout or the like."""

    error: Exception


Result = Answer | Absent | Failed


class Outcome(NamedTuple):
    """The results of both families."""

    a: Result
    aaaa: Result

    @property
    def answers(self) -> list[Answer]:
        """The good ones."""
        return [result for result in self if isinstance(result, Answer)]

    @property
    def absence(self) -> Absent | None:
        """Set if it is certain that there is no address. (Some answer NXDOMAIN for AAAA where there is an A.)"""
        absent = [result for result in self if isinstance(result, Absent)]
        if self.answers or not (len(absent) == len(self) or any(result.no_name for result in absent)):
            return None
        return next((result for result in absent if result.no_name), absent[0])

    @property
    def error(self) -> Exception:
        """Why neither is certain: addresses or their absence."""
        return next(result.error for result in self if isinstance(result, Failed))


#: called with each good answer as it comes: the name it is about, the record type, the answer
Found = Callable[[str, int, Answer], None]


async def look_up(resolver: Lookups, names: Sequence[str], found: Found) -> Outcome:
    """
    Query each of C{names} in turn, as long as those before do not exist.

    A failure ends the search: after a timeout, a name in the next search domain may be somebody else's.

    @param found: called for each family as soon as it is known, without waiting for the other
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
                    # an invalid name is not queried
                    at, ttl = checked(alias.name), min(ttl, alias.ttl)
                case None:
                    return Absent(DomainError(f"{at} has no {dns.QUERY_TYPES[kind]} record"))
        else:
            return Failed(ValueError(f"more than {MAX_ALIASES} CNAMEs"))
    # resolvers raise errors of any class, and cancellation is one of them
    except Exception as e:
        return Absent(e) if _is_absence(e) else Failed(e)
    found(name, kind, answer)
    return answer


def _is_absence(error: Exception) -> bool:
    # errors of servers are subclasses of DomainError
    return isinstance(error, DNSNameError | AuthoritativeDomainError) or type(error) is DomainError
