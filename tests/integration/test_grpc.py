# -*- test-case-name: tests.integration.test_grpc -*-
"""
gRPC through the whole proxy, with grpcio at both ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import replace
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread

from lproxy.config import Config, Service
from tests.components import require
from tests.integration.http_case import HttpCase, _samples, eventually, reactor, threaded

try:
    import grpc
except ImportError:  # pragma: no cover - require() says so
    grpc = None  # type: ignore[assignment]

#: no limit on messages, which is 4 MB by default
LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
#: what is not UTF-8, and a zero
BINARY = b"\x00\xff\x80"


class Application:
    """A server with all four kinds of methods; it takes and gives bytes."""

    def __init__(self) -> None:
        self.cancelled = Event()
        self.left: list[float | None] = []
        self.metadata: dict[str, Any] = {}
        self.server = grpc.server(futures.ThreadPoolExecutor(20), options=LARGE)
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Many": grpc.unary_stream_rpc_method_handler(self.many),
            "Join": grpc.stream_unary_rpc_method_handler(self.join),
            "Echo": grpc.stream_stream_rpc_method_handler(self.echo),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Kinds", methods),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def unary(self, request: bytes, context: Any) -> bytes:
        """Backwards, with metadata."""
        self.metadata = dict(context.invocation_metadata())
        self.left.append(context.time_remaining())
        context.send_initial_metadata((("x-first", "1"),))
        context.set_trailing_metadata((("x-last-bin", BINARY),))
        return request[::-1]

    def many(self, request: bytes, context: Any) -> Iterator[bytes]:
        """A thousand."""
        for n in range(1000):
            yield b"%b %d" % (request, n)

    def join(self, requests: Iterator[bytes], context: Any) -> bytes:
        """All in one."""
        return b"".join(requests)

    def echo(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """Each at once."""
        yield from requests

    def wait(self, request: bytes, context: Any) -> bytes:
        """Until the caller is gone."""
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(20)
        return b""

    def fail(self, request: bytes, context: Any) -> bytes:
        """With the status that is asked for."""
        code = next(code for code in grpc.StatusCode if code.value[0] == int(request))
        context.abort(code, "why, ä % and \n so")
        return b""


class GrpcCase(HttpCase):
    """An application behind C{web.local}, and a channel to it through the proxy."""

    def setUp(self) -> None:
        require(packages=["grpc"])
        self.application = Application()
        super().setUp()
        address = f"127.0.0.1:{self.ports['fixed']}"
        self.channel = grpc.insecure_channel(address, options=LARGE)

    def config(self) -> Config:
        """As always, in front of the application."""
        config = super().config()
        address = f"127.0.0.1:{self.application.port}"
        listen = tuple(replace(one, target="service:grpc") if one.name != "web" else one for one in config.listen)
        return replace(config, listen=listen, services={"grpc": Service("grpc", (address,))})

    def tearDown(self) -> Deferred[None]:
        """First the callers, then what they call."""
        self.channel.close()
        self.application.cancelled.set()
        self.application.server.stop(None)
        return super().tearDown()

    def method(self, name: str, kind: str = "unary_unary") -> Callable[..., Any]:
        """A method of the application's; bytes there and back."""
        kinds = {
            "unary_unary": self.channel.unary_unary,
            "unary_stream": self.channel.unary_stream,
            "stream_unary": self.channel.stream_unary,
            "stream_stream": self.channel.stream_stream,
        }
        return kinds[kind](f"/test.Kinds/{name}")

    def failed(self, call: Callable[[], Any]) -> Any:
        """The error that C{call} ends with."""
        try:
            call()
        except grpc.RpcError as error:
            return error
        raise AssertionError("it went well")

    def counted(self) -> dict[tuple[str, str], int]:
        """Answers by classification and grpc-status."""
        found = blockingCallFromThread(reactor, _samples, self.proxy, "response_total")
        return {(labels["classification"], labels["grpc_status"]): value for labels, value in found}


class KindTests(GrpcCase):
    """The four kinds."""

    @threaded
    def test_unary(self) -> None:
        """A message there and back, metadata both ways, binary as it is; and the deadline goes along."""
        call = self.method("Unary").with_call
        answer, info = call(b"abc", metadata=(("x-own", "v"), ("x-own-bin", BINARY)), timeout=30)
        self.assertEqual((b"cba", grpc.StatusCode.OK), (answer, info.code()))
        self.assertEqual("1", dict(info.initial_metadata())["x-first"])
        self.assertEqual(BINARY, dict(info.trailing_metadata())["x-last-bin"])
        self.assertEqual(("v", BINARY), (self.application.metadata["x-own"], self.application.metadata["x-own-bin"]))
        (left,) = self.application.left
        assert left is not None
        self.assertTrue(20 < left <= 30)
        self.assertEqual({("success", "0"): 1}, self.counted())

    @threaded
    def test_large(self) -> None:
        """4 MB there, and 4 MB back; and an empty message."""
        for size in (4_000_000, 0, 65_535, 65_536):
            self.assertEqual(size, len(self.method("Unary")(b"x" * size, timeout=30)))

    @threaded
    def test_streams(self) -> None:
        """Many answers to one message, one to many, and many to many, each as it comes."""
        many = list(self.method("Many", "unary_stream")(b"n", timeout=30))
        self.assertEqual([b"n %d" % n for n in range(1000)], many)
        pieces = [b"%d " % n * 1000 for n in range(200)]
        self.assertEqual(b"".join(pieces), self.method("Join", "stream_unary")(iter(pieces), timeout=30))
        heard = []
        go_on = Event()

        def ask() -> Iterator[bytes]:
            for n in range(50):
                yield b"%d" % n
                self.assertTrue(go_on.wait(10))
                go_on.clear()

        for message in self.method("Echo", "stream_stream")(ask(), timeout=30):
            heard.append(message)
            go_on.set()
        self.assertEqual([b"%d" % n for n in range(50)], heard)

    @threaded
    def test_concurrent(self) -> None:
        """Hundreds at once, on one connection each side."""
        method = self.method("Unary")
        calls = [(b"%d" % n, method.future(b"%d" % n, timeout=30)) for n in range(300)]  # type: ignore[attr-defined]
        for sent, call in calls:
            self.assertEqual(sent[::-1], call.result())


class EndTests(GrpcCase):
    """How calls end."""

    @threaded
    def test_statuses(self) -> None:
        """Every status comes through, with its message, and is counted as what it means."""
        for code in grpc.StatusCode:
            if code is not grpc.StatusCode.OK:
                error = self.failed(lambda code=code: self.method("Fail")(b"%d" % code.value[0], timeout=30))
                self.assertEqual((code, "why, ä % and \n so"), (error.code(), error.details()))
        error = self.failed(lambda: self.method("Nothing")(b"", timeout=30))
        self.assertEqual(grpc.StatusCode.UNIMPLEMENTED, error.code())
        failures = {status for (classification, status) in self.counted() if classification == "failure"}
        self.assertEqual({"2", "4", "12", "13", "14", "15"}, failures)

    @threaded
    def test_deadline(self) -> None:
        """A deadline ends the call, is told as such, and the application hears of it."""
        began = time.monotonic()
        error = self.failed(lambda: self.method("Wait")(b"", timeout=0.5))
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, error.code())
        self.assertLess(time.monotonic() - began, 5)
        self.assertTrue(self.application.cancelled.wait(5))
        eventually(lambda: self.in_flight == 0)

    @threaded
    def test_cancelled(self) -> None:
        """A caller that gives up is told to the application at once; so is one whose connection is gone."""
        for leave in ("cancel", "close"):
            self.application.cancelled.clear()
            call = self.method("Wait").future(b"")  # type: ignore[attr-defined]
            eventually(lambda: self.in_flight == 1)
            time.sleep(0.1)
            if leave == "cancel":
                call.cancel()
            else:
                self.channel.close()
            self.assertTrue(self.application.cancelled.wait(5), leave)
            eventually(lambda: self.in_flight == 0)

    @threaded
    def test_application_leaves(self) -> None:
        """An application that is stopped in the middle of a call ends it, with what is known."""
        call = self.method("Wait").future(b"", timeout=30)  # type: ignore[attr-defined]
        eventually(lambda: self.in_flight == 1)
        time.sleep(0.1)
        self.application.server.stop(None)
        self.assertIn(call.exception(20).code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))

    @threaded
    def test_nobody(self) -> None:
        """Where nobody listens the call is UNAVAILABLE, and says why."""
        self.application.server.stop(None).wait()
        error = self.failed(lambda: self.method("Unary")(b"", timeout=30))
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, error.code())
        self.assertIn(f"connect: 127.0.0.1:{self.application.port} refused", error.details())

    @threaded
    def test_no_route(self) -> None:
        """Where there is no such service it is NOT_FOUND."""
        channel = grpc.insecure_channel(
            f"127.0.0.1:{self.ports['web']}", options=[("grpc.default_authority", "no.invalid")]
        )
        error = self.failed(lambda: channel.unary_unary("/test.Kinds/Unary")(b"", timeout=30))
        channel.close()
        self.assertEqual(grpc.StatusCode.NOT_FOUND, error.code())
        self.assertIn("no.invalid", error.details())
