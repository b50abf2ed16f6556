# -*- test-case-name: tests.integration.test_demo -*-
"""
C{lproxy demo --grpc}: a toy service of gRPC, the real proxy in front of it, calls of all four kinds, a deadline, and
what the proxy knows of them. It needs grpcio, which nothing else in lproxy does.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from urllib.request import urlopen

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from lproxy.app.demo import DRAIN, HOST, SERVICE_IDLE, free, run_until
from lproxy.app.plugins import find, tried
from lproxy.app.service import Proxy
from lproxy.config import Admin, Config, Listen, Service, Timeouts

#: the service, as calls name it, and as the configuration does
SERVICE, NAME = "demo.Greeter", "grpc.local:80"
#: other ports are used where these are taken
PREFERRED = {"outbound": 4140, "admin": 4191}
#: seconds that a call may take which nobody answers
DEADLINE = 0.2
PATIENCE = 5.0


class Greeter:
    """A service with a method of each kind; messages are text, so that no code has to be generated."""

    def __init__(self, grpc: Any) -> None:
        self._server = grpc.server(ThreadPoolExecutor(8))
        methods = {
            "Hello": grpc.unary_unary_rpc_method_handler(self._hello),
            "Count": grpc.unary_stream_rpc_method_handler(self._count),
            "Join": grpc.stream_unary_rpc_method_handler(self._join),
            "Echo": grpc.stream_stream_rpc_method_handler(self._echo),
            "Wait": grpc.unary_unary_rpc_method_handler(self._wait),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        self.port: int = self._server.add_insecure_port(f"{HOST}:0")

    def start(self) -> None:
        """Serve."""
        self._server.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.stop(None)

    def _hello(self, request: bytes, context: Any) -> bytes:
        return b"hello, %b" % request

    def _count(self, request: bytes, context: Any) -> Iterator[bytes]:
        for n in range(1, int(request) + 1):
            yield b"%d" % n

    def _join(self, requests: Iterator[bytes], context: Any) -> bytes:
        return b" ".join(requests)

    def _echo(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        yield from requests

    def _wait(self, request: bytes, context: Any) -> bytes:
        # for as long as its caller does
        left = Event()
        context.add_callback(left.set)
        left.wait(PATIENCE)
        return b""


def run(reactor: Any, once: bool) -> int:
    """Run until Ctrl-C, or only as long as the traffic takes if C{once}; the exit status."""
    if importlib.util.find_spec("grpc") is None:
        print("lproxy demo --grpc needs grpcio: pip install grpcio")
        return 1
    return run_until(reactor, _demo(reactor, once, importlib.import_module("grpc")))


async def _demo(reactor: Any, once: bool, grpc: Any) -> None:
    at = {name: f"{HOST}:{await free(reactor, port)}" for name, port in PREFERRED.items()}
    greeter = Greeter(grpc)
    greeter.start()
    config = Config(
        admin=Admin(address=at["admin"]),
        listen=(Listen(name="outbound", address=at["outbound"]),),
        services={NAME: Service(NAME, (f"{HOST}:{greeter.port}",), protocol="http2")},
        outbound=Timeouts(drain=DRAIN, service_idle=SERVICE_IDLE),
    )
    proxy = Proxy(config, tried(find()), reactor)
    proxy.privilegedStartService()
    proxy.startService()
    reactor.addSystemEventTrigger("before", "shutdown", proxy.stopService)
    reactor.addSystemEventTrigger("after", "shutdown", greeter.stop)
    lines = await deferToThread(_traffic, grpc, at["outbound"])
    rows = await deferToThread(_rows, at["admin"])
    print(f"lproxy runs in front of a toy service of gRPC, {SERVICE} at {NAME.removesuffix(':80')}:\n")
    width = max(len(what) for what, _ in lines)
    print("\n".join(f"  {what:<{width}}  {outcome}" for what, outcome in lines))
    print("\nAnd has counted them by grpc-status (response_total of /metrics):\n")
    print("\n".join(f"  {row}" for row in rows))
    print(
        f"""
Try it, with a service of your own:

  [services."{NAME}"]
  endpoints = ["127.0.0.1:50051"]
  protocol = "http2"

And look inside:

  http://{at["admin"]}/             what there is
  http://{at["admin"]}/connections  who is connected, and its streams
  http://{at["admin"]}/metrics      for Prometheus: h2_* and response_total
"""
    )
    if not once:
        print("Ctrl-C ends it.", flush=True)
        await Deferred()


def _traffic(grpc: Any, address: str) -> list[tuple[str, str]]:
    """In a thread, as any client would."""
    channel = grpc.insecure_channel(address, options=[("grpc.default_authority", NAME.removesuffix(":80"))])

    def call(kind: str, method: str, request: Any, **options: Any) -> str:
        made = getattr(channel, kind)(f"/{SERVICE}/{method}")
        try:
            answer = made(request, **{"timeout": PATIENCE, **options})
            return text([answer] if isinstance(answer, bytes) else answer)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"

    lines = [
        ("Hello: one to one", call("unary_unary", "Hello", b"world")),
        ("Count: one to many", call("unary_stream", "Count", b"5")),
        ("Join: many to one", call("stream_unary", "Join", iter([b"a", b"b", b"c"]))),
        ("Echo: many to many", call("stream_stream", "Echo", iter([b"ping", b"pong"]))),
        (f"Wait, for {DEADLINE} s", call("unary_unary", "Wait", b"", timeout=DEADLINE)),
        ("Nothing: no such method", call("unary_unary", "Nothing", b"")),
    ]
    channel.close()
    return lines


def text(messages: Iterable[bytes]) -> str:
    """Messages, one after the other."""
    return ", ".join(message.decode() for message in messages)


def _rows(admin: str) -> list[str]:
    with urlopen(f"http://{admin}/metrics", timeout=PATIENCE) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    return [line for line in lines if line.startswith("response_total{")]
