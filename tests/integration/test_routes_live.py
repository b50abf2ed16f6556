# -*- test-case-name: tests.integration.test_routes_live -*-
"""
What must hold while traffic flows: traffic is moved from one backend to another without an error, and total failure
does not have retries finish off who fails.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from threading import Event, Thread

from twisted.internet.threads import blockingCallFromThread

from lproxy.config import Config, Service
from lproxy.profile import Backend, Profile, Rate, Retries, RetryBudget, Route
from tests.integration.crossing_case import Answer, Asked, CrossingCase
from tests.integration.http_case import Upstream, _samples, eventually, reactor, threaded

#: a fifth of the requests, and five a second
BUDGET = RetryBudget(ratio=0.2, minimum=5.0, ttl=10.0)


def split(old: int, new: int) -> Profile:
    """Traffic by weight."""
    return Profile((Route("all", backends=(Backend("old:80", old), Backend("new:80", new))),))


class LiveCase(CrossingCase):
    """C{web.local} has two backends, which say who they are."""

    front, back = 1, 1
    profile = split(90, 10)

    def setUp(self) -> None:
        self.new = Upstream()
        super().setUp()
        self.upstreams.append(self.new)

    def config(self) -> Config:
        """With the profile, and a service for each backend."""
        config = super().config()
        service = config.services["web.local:80"]
        old, new = (
            Service(name, (one.address,), protocol=service.protocol)
            for name, one in (("old:80", self.upstream), ("new:80", self.new))
        )
        services = {"web.local:80": replace(service, profile=self.profile), "old:80": old, "new:80": new}
        return replace(config, services=services)

    def change(self, profile: Profile) -> None:
        """Have the proxy serve by C{profile} from now on."""
        self.profile = profile
        blockingCallFromThread(reactor, self.proxy.swap, self.config())

    def counted(self, family: str, **labels: str) -> int:
        """The sum of a family's samples that have C{labels}."""
        found: list[tuple[dict[str, str], int]] = blockingCallFromThread(reactor, _samples, self.proxy, family)
        return sum(value for has, value in found if labels.items() <= has.items())


class MovedTests(LiveCase):
    """A split that is moved under load."""

    @threaded
    def test_moved(self) -> None:
        """From 90/10 to 0/100: each request is answered, and soon all by the new one."""
        self.serve(lambda asked: Answer(200, [], b"old"))
        self.serve(lambda asked: Answer(200, [], b"new"), self.new)
        seen: list[tuple[float, int, bytes]] = []
        enough = Event()
        broken: list[BaseException] = []

        def load() -> None:
            try:
                while not enough.is_set():
                    answer = self.ask("POST", "/", body=b"body")
                    seen.append((time.monotonic(), answer.status, answer.body))
            except (OSError, EOFError) as e:
                broken.append(e)

        threads = [Thread(target=load, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(seen) > 200)
        self.change(split(0, 100))
        moved = time.monotonic()
        eventually(lambda: len([one for one in seen if one[0] > moved + 0.2]) > 100)
        enough.set()
        for thread in threads:
            thread.join(10)
        self.assertEqual(([], {200}), (broken, {status for _, status, _ in seen}))
        before = Counter(body for at, _, body in seen if at < moved)
        self.assertGreater(before[b"old"], 4 * before[b"new"])
        self.assertGreater(before[b"new"], 0)
        # what was under way when it was moved may still be the old one's
        self.assertEqual({b"new"}, {body for at, _, body in seen if at > moved + 0.2})


class Failing(LiveCase):
    """Nobody answers well."""

    profile = Profile((Route("all", retries=Retries(tries=3)),), budget=BUDGET)
    requests = 150

    @threaded
    def test_bounded(self) -> None:
        """Tries that are made on top stay within the budget, and metrics show them and why there were no more."""
        asked = Counter[str]()

        def app(request: Asked) -> Answer:
            asked["all"] += 1
            asked["again"] += request.get("l5d-retry-attempt") is not None
            return Answer(503, [], b"down")

        self.serve(app)
        began = time.monotonic()
        speaker = self.speaker()
        for _ in range(self.requests):
            answer = speaker.ask(Asked("GET", "/", []))
            self.assertEqual((503, b"down"), (answer.status, answer.body))
        seconds = time.monotonic() - began
        most = BUDGET.ratio * self.requests + BUDGET.minimum * (seconds + 1) + 1
        self.assertGreaterEqual(asked["again"], BUDGET.ratio * self.requests * 0.8)
        self.assertLessEqual(asked["again"], most)
        self.assertEqual(self.requests + asked["again"], asked["all"])
        route = {"dst": "web.local:80", "rt_route": "all"}
        self.assertEqual(self.requests, self.counted("route_request_total", **route))
        self.assertEqual(asked["all"], self.counted("route_actual_request_total", **route))
        failed = {"classification": "failure", "status_code": "503", **route}
        self.assertEqual(self.requests, self.counted("route_response_total", **failed))
        self.assertEqual(asked["all"], self.counted("route_actual_response_total", **failed))
        self.assertEqual(self.requests, self.counted("route_retry_total", **route))
        self.assertGreater(self.counted("route_retry_total", outcome="budget", **route), self.requests / 2)
        self.assertLessEqual(self.counted("retry_budget_left", target="web.local:80"), BUDGET.minimum + 1)


class Http1Failing(Failing):
    """Over HTTP/1."""


class Http2Failing(Failing):
    """Over HTTP/2."""

    front, back = 2, 2


class RatesTests(LiveCase):
    """Rates outlast a reload."""

    profile = Profile(rates=(Rate(2, 3600.0),))

    @threaded
    def test_reload(self) -> None:
        """What was used up before is so after, as long as the rate is the same."""
        self.serve(lambda asked: Answer())
        self.assertEqual([200, 200, 429], [self.ask("GET", "/").status for _ in range(3)])
        self.change(Profile((Route("all"),), rates=(Rate(2, 3600.0),)))
        self.assertEqual(429, self.ask("GET", "/").status)
        self.assertEqual(1, self.counted("route_rate_limited_total", dst="web.local:80", rt_route="all"))
        self.change(Profile(rates=(Rate(3, 3600.0),)))
        self.assertEqual(200, self.ask("GET", "/").status)


del Failing
