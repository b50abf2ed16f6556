# -*- test-case-name: tests.integration.test_http_routes -*-
"""
Routes of profiles through the whole proxy, whatever version of HTTP clients and applications speak.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from dataclasses import replace
from threading import Event

from lproxy.config import Config, Service
from lproxy.profile import Backend, Method, Path, Profile, Retries, Route, RouteTimeouts, Sticky
from tests.components import require
from tests.integration.crossing_case import Answer, Asked, CrossingCase
from tests.integration.http_case import Upstream, threaded
from tests.integration.test_grpc import GrpcCase, grpc

BODY = bytes(range(256)) * 256
PROFILE = Profile(
    (
        Route("put", Method("PUT"), retries=Retries()),
        Route("slow", Path("/slow"), timeouts=RouteTimeouts(per_try=0.5), retries=Retries(tries=2)),
        Route("canary", Path("/canary", "prefix"), backends=(Backend("old:80", 3), Backend("new", 1))),
    ),
    sticky=Sticky(cookie="user"),
)


class Routes(CrossingCase):
    """What is the same in each crossing."""

    def setUp(self) -> None:
        self.others = [Upstream() for _ in range(3)]
        super().setUp()

    def config(self) -> Config:
        """C{web.local} has two endpoints, and a profile; C{old} and C{new} have one each."""
        config = super().config()
        service = config.services["web.local:80"]
        second, old, new = [one.address for one in self.others]
        services = {
            "web.local:80": replace(service, endpoints=(*service.endpoints, second), profile=PROFILE),
            "old:80": Service("old:80", (old,), protocol=service.protocol),
            "new": Service("new", (new,), protocol=service.protocol),
        }
        return replace(config, services=services)

    def tearDown(self) -> object:
        for one in self.others:
            one.close()
        return super().tearDown()

    @threaded
    def test_again(self) -> None:
        """A failure is bettered elsewhere, the body the same byte for byte; each try says which it is."""
        asked: list[tuple[str, Asked]] = []

        def app(name: str, request: Asked) -> Answer:
            asked.append((name, request))
            return Answer(503 if len(asked) == 1 else 200, [], name.encode())

        self.serve(lambda request: app("first", request))
        self.serve(lambda request: app("second", request), self.others[0])
        answer = self.ask("PUT", "/a", body=BODY)
        (failed, one), (served, other) = asked
        self.assertEqual((200, served.encode()), (answer.status, answer.body))
        self.assertEqual({"first", "second"}, {failed, served})
        self.assertEqual((BODY, BODY), (one.body, other.body))
        self.assertEqual((None, "1"), (one.get("l5d-retry-attempt"), other.get("l5d-retry-attempt")))
        # one byte more than is kept
        asked.clear()
        answer = self.ask("PUT", "/a", body=BODY + b"x")
        self.assertEqual((503, 1, BODY + b"x"), (answer.status, len(asked), asked[0][1].body))

    @threaded
    def test_per_try(self) -> None:
        """A try that takes too long is followed by one elsewhere."""
        done = Event()
        self.addCleanup(done.set)
        self.serve(lambda request: Answer(200, [], b"slow") if done.wait(20) else Answer(500))
        self.serve(lambda request: Answer(200, [], b"quick"), self.others[0])
        for _ in range(2):
            answer = self.ask("GET", "/slow")
            self.assertEqual((200, b"quick"), (answer.status, answer.body))

    @threaded
    def test_split(self) -> None:
        """Requests are shared by weight; those of one user are served by the same."""
        for one, name in ((self.others[1], b"old"), (self.others[2], b"new")):
            self.serve(lambda request, name=name: Answer(200, [], name), one)  # type: ignore[misc]
        speaker = self.speaker()
        counts = Counter(speaker.ask(Asked("GET", "/canary/x", [])).body for _ in range(200))
        self.assertEqual({b"old", b"new"}, set(counts))
        self.assertTrue(100 < counts[b"old"] < 190, counts)
        for user in "abcdef":
            fields = [("cookie", f"user={user}")]
            self.assertEqual(1, len({speaker.ask(Asked("GET", "/canary/x", fields)).body for _ in range(5)}))


class Http1Tests(Routes):
    """HTTP/1 on both sides."""


class Http2Tests(Routes):
    """HTTP/2 on both sides."""

    front, back = 2, 2


class UpTests(Routes):
    """Clients of HTTP/1, applications of HTTP/2."""

    front, back = 1, 2


class DownTests(Routes):
    """The reverse."""

    front, back = 2, 1


del Routes


class MixedTests(CrossingCase):
    """Backends of one route that speak different versions."""

    def setUp(self) -> None:
        self.other = Upstream()
        super().setUp()

    def config(self) -> Config:
        """C{one} speaks HTTP/1 and C{two} HTTP/2; half of the requests go to each."""
        config = super().config()
        services = {
            "web.local:80": Service("web.local:80", profile=Profile(backends=(Backend("one"), Backend("two")))),
            "one": Service("one", (self.upstream.address,), protocol="http1"),
            "two": Service("two", (self.other.address,), protocol="http2"),
        }
        return replace(config, services=services)

    def tearDown(self) -> object:
        self.other.close()
        return super().tearDown()

    @threaded
    def test_both(self) -> None:
        """Each is spoken to in its own, whatever clients speak; where one is gone the other serves."""
        self.serve(lambda request: Answer(200, [], b"one"))
        self.back = 2
        self.serve(lambda request: Answer(200, [], b"two"), self.other)
        for self.front in (1, 2):
            speaker = self.speaker()
            counts = Counter(speaker.ask(Asked("GET", "/", [])).body for _ in range(60))
            self.assertEqual({b"one", b"two"}, set(counts))
        # threads wait in accept() and recv(), which would go on if these were closed
        for sock in (self.upstream.sock, *[wire.sock for wire in self.upstream.wires]):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        speaker = self.speaker()
        for _ in range(10):
            answer = speaker.ask(Asked("GET", "/", []))
            self.assertEqual((200, b"two"), (answer.status, answer.body))


class GrpcTests(GrpcCase):
    """Calls of gRPC."""

    def config(self) -> Config:
        """Its calls may be repeated where the server was unavailable."""
        config = super().config()
        route = Route(
            "calls", Path("/test.Again", "prefix"), retries=Retries(classified=False, grpc=(14,), unsafe=True)
        )
        service = replace(config.services["grpc"], profile=Profile((route,)))
        return replace(config, services={"grpc": service})

    @threaded
    def test_again(self) -> None:
        """A call that fails without a message is repeated for the statuses that its route names."""
        calls: list[dict[str, str]] = []

        def fail(request: bytes, context: object) -> bytes:
            calls.append(dict(context.invocation_metadata()))  # type: ignore[attr-defined]
            if len(calls) < 3:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not now")  # type: ignore[attr-defined]
            return request[::-1]

        require(packages=["grpc"])
        handlers = {"Fail": grpc.unary_unary_rpc_method_handler(fail)}
        self.application.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Again", handlers),)
        )
        self.assertEqual(b"cba", self.channel.unary_unary("/test.Again/Fail")(b"abc"))
        self.assertEqual([None, "1", "2"], [call.get("l5d-retry-attempt") for call in calls])
