# -*- test-case-name: tests.integration.test_routes_live -*-
"""
What must hold while traffic flows: traffic is moved from one backend to another without an error, and total failure
does not have retries finish off who fails.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

from twisted.internet.threads import blockingCallFromThread

from lproxy.config import Config, ProfileFiles, Service
from lproxy.configfile.collector import at_once
from lproxy.profile import Profile, Rate, Retries, RetryBudget, Route
from tests.integration.crossing_case import Answer, Asked, CrossingCase, Http1Client, Http2Client
from tests.integration.http_case import Upstream, _samples, eventually, reactor, threaded

#: a fifth of the requests, and five a second
BUDGET = RetryBudget(ratio=0.2, minimum=5.0, ttl=10.0)


SERVICE_PROFILE = """
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {{name: web.local}}
spec:
  dstOverrides:
  - {{authority: "old:80", weight: {old}m}}
  - {{authority: "new:80", weight: {new}m}}
"""


class LiveCase(CrossingCase):
    """C{web.local} has two backends, which say who they are."""

    front, back = 1, 1
    profile: Profile | None = None

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
        config = self.config()
        blockingCallFromThread(reactor, lambda: self.proxy.swap(config, at_once(self.proxy.assemble(config))))

    def counted(self, family: str, **labels: str) -> int:
        """The sum of a family's samples that have C{labels}."""
        found: list[tuple[dict[str, str], int]] = blockingCallFromThread(reactor, _samples, self.proxy, family)
        return sum(value for has, value in found if labels.items() <= has.items())


class Moved(LiveCase):
    """A split that is moved under load, by whoever writes a file."""

    def config(self) -> Config:
        """Whose profile is in a file."""
        self.file = Path(self.mktemp())
        self.weigh(900, 100)
        return replace(super().config(), profiles=ProfileFiles(files=(str(self.file),)))

    def weigh(self, old: int, new: int) -> None:
        """Have the file say so."""
        beside = self.file.with_suffix(".new")
        beside.write_text(SERVICE_PROFILE.format(old=old, new=new))
        beside.rename(self.file)

    @threaded
    def test_moved(self) -> None:
        """From 90/10 to 0/100: each request is answered, and soon all by the new one; connections go on."""
        self.serve(lambda asked: Answer(200, [], b"old"))
        self.serve(lambda asked: Answer(200, [], b"new"), self.new)
        seen: list[tuple[int, bytes]] = []
        enough = Event()

        def load(speaker: Http1Client | Http2Client) -> None:
            while not enough.is_set():
                answer = speaker.ask(Asked("POST", "/", [], b"body"))
                seen.append((answer.status, answer.body))
            ended.append(speaker)

        ended: list[object] = []
        threads = [Thread(target=load, args=(self.speaker(),), daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(seen) > 300)
        before = Counter(body for _, body in seen)
        self.weigh(0, 1000)
        eventually(lambda: len(seen) > 200 and {body for _, body in seen[-100:]} == {b"new"}, "moved")
        moved = len(seen)
        eventually(lambda: len(seen) > moved + 200)
        enough.set()
        for thread in threads:
            thread.join(10)
        # whoever was not answered, or not well, has not come to an end
        self.assertEqual((4, {200}), (len(ended), {status for status, _ in seen}))
        self.assertGreater(before[b"old"], 3 * before[b"new"])
        self.assertGreater(before[b"new"], 0)
        self.assertEqual({b"new"}, {body for _, body in seen[moved:]})


class Http1Moved(Moved):
    """Over HTTP/1."""


class Http2Moved(Moved):
    """Over HTTP/2."""

    front, back = 2, 2


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
        self.assertGreater(self.counted("route_retry_total", outcome="budget", **route), self.requests / 4)
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


del Moved, Failing
