# -*- test-case-name: tests.protocols.http.test_tries_random -*-
"""
L{lproxy.protocols.http.tries}, and all beneath it, whatever happens in whatever order: nothing is left over, which the
end of each test sees to, and whoever is answered is answered once.
"""

from __future__ import annotations

import contextlib
from random import Random

from h2.exceptions import ProtocolError

from lproxy.profile import Hedge, Profile, Retries, RetryBudget, Route, RouteTimeouts, Sticky
from lproxy.testing import Peer
from tests.protocols.http.h2.case import Client
from tests.protocols.http.h2.upstream import ANSWER, Http2UpstreamCase
from tests.protocols.http.harness import HttpTestCase, get, ok, post
from tests.protocols.http.profile.test_router import ScriptedProfiles

PROFILE = Profile(
    (
        Route(
            "r",
            retries=Retries(body=100, unsafe=True, tries=4),
            hedge=Hedge(at_least=0.02),
            timeouts=RouteTimeouts(per_try=0.3, stream=1.0),
        ),
    ),
    budget=RetryBudget(1.0, 5.0),
    sticky=Sticky(header="x-user"),
)
BODY = bytes(range(200)) * 2


def eager(case: HttpTestCase) -> None:
    """Have requests of C{case} hedged from now on."""
    for router in case.factory.listener._routers.values():
        for plan in router.plans:
            if plan is not None and plan.hedging is not None:
                plan.hedging.latency.usual = 0.02


class Http1Tests(HttpTestCase):
    """HTTP/1 on both sides."""

    def test_anything(self) -> None:
        """What clients hear is one answer, ours or an upstream's; what upstreams hear of bodies is what was sent."""
        for seed in range(30):
            random = Random(seed)
            self.start(profiles=ScriptedProfiles(PROFILE))
            self.proxy.acquires["http"].bounded = True
            live: list[tuple[Peer, bytes]] = []
            for _ in range(60):
                self.step(random, live)
                eager(self)
            for client in self.clients:
                self.assertLessEqual(client.heard.count(b"HTTP/1.1 ") - client.heard.count(b"HTTP/1.1 1"), 1, seed)
            for up in self.ups:
                for request in up.heard.split(b"PUT / HTTP/1.1\r\n")[1:]:
                    body = request.partition(b"\r\n\r\n")[2].partition(b"GET / ")[0]
                    self.assertTrue(BODY.startswith(body), seed)
            for client in self.clients:
                client.reset()
            self.settle()
            self.assertEqual("<Deadlines 0>", repr(self.factory.listener.deadlines), seed)
            self.assertEqual([], self.left(), seed)

    def left(self) -> list[str]:
        """What is held though nobody is there, but for idle connections."""
        self.assertEqual(0, self.pool.load if self.proxy.acquires["http"].service else 0)
        return [repr(session) for session in self.proxy.sessions]

    def step(self, random: Random, live: list[tuple[Peer, bytes]]) -> None:
        """
        Something happens.

        @param live: clients, and what each has yet to send of its request
        """
        what = random.randrange(12)
        ups = [up for up in self.ups if not up.ended]
        if what < 3:
            size = random.choice((0, 50, 100, 101, 400))
            head = post(b"", "X-User: a", length=size, method="PUT") if size else get("/", "X-User: b")
            said = random.choice((0, 30, size)) if size else 0
            live.append((self.client(head + BODY[:said]), BODY[said:size]))
        elif what < 4 and live:
            client, rest = live.pop(random.randrange(len(live)))
            if rest and not client.ended:
                said = random.choice((10, len(rest)))
                self.say(client, rest[:said])
                live.append((client, rest[said:]))
        elif what < 5 and live:
            live.pop(random.randrange(len(live)))[0].reset()
            self.settle()
        elif what < 6:
            self.proxy.connector.mode = random.choice(("accept", "accept", "wait", "refuse"))
        elif what < 7 and self.proxy.connector.mode == "wait":
            self.proxy.connector.mode = "accept"
            self.wait(0.05)
        elif what < 8:
            self.wait(random.choice((0.03, 0.3, 1.1)), 0.03)
        elif ups:
            self.answer(random, random.choice(ups))

    def answer(self, random: Random, up: Peer) -> None:
        """An upstream says something, or goes."""
        said = random.randrange(7)
        if said < 4:
            answers = (ok(b"1"), ok(b"no", status="503 No"), ok(b"n", status="500 No", length=9), ok(b"a", length=5))
            self.say(up, answers[said])
        elif said == 4:
            self.say(up, b"HTTP/1.1 103 Early\r\n\r\n")
        else:
            (up.reset if said == 5 else up.hang_up)()
            self.settle()


class Http2Tests(Http2UpstreamCase):
    """HTTP/2 on both sides."""

    def test_anything(self) -> None:
        """The same of streams."""
        for seed in range(30):
            random = Random(seed)
            self.start(profiles=ScriptedProfiles(PROFILE))
            self.acquires().bounded = True
            client = Client(self, self.client())
            open_streams: list[int] = []
            for _ in range(60):
                self.step(random, client, open_streams)
                eager(self)
            for answer in client.answers.values():
                self.assertIn(answer.status, (0, 200, 500, 502, 503, 504), seed)
            for server in self.h2:
                for body in server.bodies.values():
                    self.assertTrue(BODY.startswith(body), seed)
            for stream in client.answers:
                self.give_up(client, stream)
            self.settle()
            self.assertEqual("<Deadlines 0>", repr(self.factory.listener.deadlines), seed)
            self.assertEqual(0, self.slots.load, seed)
            self.assertEqual([], [call for server in self.h2 for call in server.open if not server.peer.ended], seed)

    def give_up(self, client: Client, stream: int) -> None:
        """The client takes a request back, as far as it is not over for it."""
        with contextlib.suppress(ProtocolError):
            client.reset(stream)

    def step(self, random: Random, client: Client, streams: list[int]) -> None:
        """Something happens."""
        what = random.randrange(10)
        waiting = [(server, stream) for server in self.h2 if not server.peer.ended for stream in sorted(server.open)]
        if what < 3:
            size = random.choice((0, 50, 100, 101, 400))
            stream = client.request(("x-user", "a"), method="PUT", end=not size)
            streams.append(stream)
            if size:
                client.body(stream, BODY[:size], random.random() < 0.7)
        elif what < 4 and streams:
            self.give_up(client, streams.pop(random.randrange(len(streams))))
        elif what < 5:
            self.wait(random.choice((0.03, 0.3, 1.1)), 0.03)
            client.hear()
        elif waiting:
            server, stream = random.choice(waiting)
            said = random.randrange(5)
            if said < 2:
                server.answer(stream, b"1", ANSWER if said else ((":status", "503"),))
            elif said == 2:
                server.head(stream, ((":status", random.choice(("200", "500"))),))
                server.body(stream, b"part")
                server.reset(stream, 2)
            elif said == 3:
                server.reset(stream, random.choice((2, 7, 8)))
            else:
                server.peer.reset()
            self.settle()
            client.hear()
