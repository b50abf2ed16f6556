# -*- test-case-name: tests.stack.test_choose -*-
"""
Which of a service's endpoints a request goes to.

Of two at random the one that will be done first (the power of two choices): by how long they take
(L{lproxy.stack.latency}) and how much they have to do; by that alone where they are about as quick, or whoever was slow
once would be shunned until that is forgotten. So nobody is flooded by all who find him best at the same moment. One
that nobody knows yet is sent one request to find out. Who is chosen between:

 - those that are well. Where none is, those that only checks have put down; else the one whose backoff is over first:
   the last is never passed over, since a stale refusal helps nobody.
 - an endpoint that awaits its probe gets the next request, and that one alone.
 - those of the own zone, as long as L{ENOUGH} of them are well; of fewer, they get as much less, and others the rest.
 - where weights differ, or somebody is eased in, the two are drawn by these, and the second is taken only where it will
   be done far sooner: else whoever is a bit quicker would have it all, whatever the weights say.
 - for a request with a key, the one that draws highest for it (L{lproxy.stack.rendezvous}), whatever there is to do.

What does not depend on the request is found out once, and again when a state changes or a backoff is over.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final, Generic

from lproxy.stack.health import HEALTHY, PROBING, ServiceHealth
from lproxy.stack.interfaces import Hint, L
from lproxy.stack.member import Member
from lproxy.stack.rendezvous import digest, drawn, unit

#: the part of the own zone's endpoints that have to be well for these to serve all requests: the others of them have
#: room for that much more
ENOUGH: Final = 0.7
#: two of which one takes no more than so many times as long are as quick as each other
ALIKE: Final = 2.0
#: of two that are drawn by weight, how many times sooner the second has to be done: weights are what somebody wants,
#: and only who is far slower does not get what he should
SOONER: Final = 5.0
#: draws, after which the parts are summed up instead: some weigh little beside others
DRAWS: Final = 16


class Group(Generic[L]):
    """
    Endpoints that are as near as each other.

    @ivar members: those that may be asked
    @ivar waiting: those that await their probe
    @ivar heaviest: the greatest weight among the members; C{even}: whether it is everybody's
    """

    def __init__(self, members: list[Member[L]], waiting: list[Member[L]]) -> None:
        weights = [member.metadata.weight for member in members] or [1]
        self.members = members
        self.waiting = waiting
        self.heaviest: int = max(weights)
        self.even: bool = min(weights) == self.heaviest


class Choice(Generic[L]):
    """
    What there is to choose between, whatever the request.

    @ivar near: those of the own zone; all, where that makes no difference
    @ivar far: those elsewhere, where those of the own zone are not enough
    @ivar spill: the part of the requests that goes to those
    @ivar probe: who awaits its probe, if anybody
    @ivar until: when it is another choice, unless a state changes before
    """

    def __init__(self, members: list[Member[L]], zone: str, now: float) -> None:
        """
        @param members: one at least
        @param zone: the own one; empty: they are all as near
        """
        self.spill: float = 0.0
        self.probe: Member[L] | None = None
        self.until: float = inf
        own: list[Member[L]] = []
        rest: list[Member[L]] = []
        for member in members:
            (own if not zone or member.metadata.zone == zone else rest).append(member)
            health = member.health
            if not health.well:
                if not health.due(now):
                    self.until = min(self.until, health.due_at())
                elif self.probe is None:
                    self.probe = member
        self.near: Group[L] = self._group(own, now)
        self.far: Group[L] = self._group(rest, now)
        if not (self.near.members or self.far.members):
            self.near = Group(self._last(members), [])
        elif self.far.members:
            self.spill = max(0.0, 1.0 - len(self.near.members) / (len(own) * ENOUGH)) if own else 1.0

    def group(self, chance: float) -> Group[L]:
        """Which of them a request goes to, of whose kind a part of C{chance} comes before it."""
        return self.far if chance < self.spill else self.near

    def _group(self, members: list[Member[L]], now: float) -> Group[L]:
        well = [member for member in members if member.health.well]
        return Group(well, [member for member in members if not member.health.well and member.health.due(now)])

    def _last(self, members: list[Member[L]]) -> list[Member[L]]:
        """Who is asked where nobody is well."""
        if self.probe is not None:
            return [self.probe]
        return [member for member in members if member.health.state is HEALTHY] or [min(members, key=_soonest)]


class Chooser(Generic[L]):
    """Of one service's endpoints."""

    def __init__(self, health: ServiceHealth) -> None:
        self._health = health
        self._seconds: Callable[[], float] = health.clock.seconds
        self._random: Callable[[], float] = health.backoff.random.random
        self._members: list[Member[L]] = []
        self._choice: Choice[L] | None = None
        self._seen: int = 0

    def set(self, members: list[Member[L]]) -> None:
        """There are these now."""
        self._members = members
        self._choice = None

    def choose(self, hint: Hint | None) -> Member[L]:
        """One of all; there is one at least."""
        now = self._seconds()
        choice = self._choice
        if choice is None or self._seen != self._health.changes or now >= choice.until:
            choice = self._choice = Choice(self._members, self._health.settings.zone, now)
            self._seen = self._health.changes
        if hint is not None:
            return self._hinted(choice, hint, now)
        if choice.probe is not None:
            return choice.probe
        return self._pick(choice.group(self._random()) if choice.spill else choice.near, now)

    def among(self, members: list[Member[L]], hint: Hint | None) -> Member[L]:
        """One of C{members}, the others having been tried."""
        now = self._seconds()
        choice = Choice(members, self._health.settings.zone, now)
        if hint is not None:
            return self._hinted(choice, hint, now)
        return choice.probe or self._pick(choice.group(self._random()), now)

    def _hinted(self, choice: Choice[L], hint: Hint, now: float) -> Member[L]:
        key = digest(hint.key) if hint.key else 0
        # the same key goes to the same zone
        group = choice.group(unit(key) if hint.key else self._random())
        if hint.avoid:
            # it was refused once, and is not sent to find out who else does
            for members in (group.members, choice.near.members, choice.far.members):
                left = [member for member in members if member.endpoint not in hint.avoid]
                if left:
                    group = Group(left, [])
                    break
        if not hint.key:
            if choice.probe is not None and not hint.avoid:
                return choice.probe
            return self._pick(group, now)
        best, highest = group.members[0], -1.0
        for member in (*group.members, *group.waiting):
            draw = drawn(key, member.seed, member.part(now))
            if draw > highest:
                best, highest = member, draw
        return best

    def _pick(self, group: Group[L], now: float) -> Member[L]:
        members = group.members
        n = len(members)
        if n == 1:
            return members[0]
        if not group.even or now < self._health.easing_until:
            return self._weighed(group, now)
        i = int(self._random() * n)
        j = int(self._random() * (n - 1))
        if j >= i:
            j += 1
        a, b = members[i], members[j]
        first, second = a.health.latency, b.health.latency
        x, y = first.level(now), second.level(now)
        if x <= y * ALIKE and y <= x * ALIKE:
            return b if b.service.load < a.service.load else a
        return b if y * (b.service.load + second.known) < x * (a.service.load + first.known) else a

    def _weighed(self, group: Group[L], now: float) -> Member[L]:
        a = self._draw(group, now, None)
        b = self._draw(group, now, a)
        first, second = a.health.latency, b.health.latency
        x = first.level(now) * (a.service.load / a.metadata.weight + first.known)
        y = second.level(now) * (b.service.load / b.metadata.weight + second.known)
        return b if y * SOONER < x else a

    def _draw(self, group: Group[L], now: float, other: Member[L] | None) -> Member[L]:
        """One of several but C{other}, by their parts."""
        members = group.members
        n = len(members)
        for _ in range(DRAWS):
            member = members[int(self._random() * n)]
            if member is not other and self._random() * group.heaviest < member.part(now):
                return member
        left = [member for member in members if member is not other]
        chance = self._random() * sum([member.part(now) for member in left])
        for member in left:
            chance -= member.part(now)
            if chance < 0.0:
                return member
        return left[-1]


def _soonest(member: Member[Any]) -> tuple[bool, bool, float]:
    health = member.health
    return not health.reachable, health.state is PROBING, health.retry_at
