# -*- test-case-name: tests.integration.test_demo -*-
"""
C{lproxy demo}: toy upstreams, the real proxy in front of them, a little real traffic.
"""

from __future__ import annotations

import shutil
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from lproxy.app.plugins import find, tried
from lproxy.app.service import Proxy
from lproxy.config import INBOUND, Admin, Config, Listen, Service, Timeouts

HOST = "127.0.0.1"
#: where the embedded defaults listen; other ports are used where these are taken
PREFERRED = {"outbound": 4140, "inbound": 4143, "tcp": 4144, "admin": 4191}

#: seconds that open connections have at the end
DRAIN = 1.0
#: seconds that C{/services} goes on to show what there was
SERVICE_IDLE = 3600.0


class Hello(Resource):
    """Answers with its name."""

    isLeaf = True

    def __init__(self, name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = name

    def render(self, request: Any) -> bytes:
        """Called for every method."""
        request.setHeader(b"content-type", b"text/plain")
        body: bytes = b"hello from %b: %b %b\n" % (self._name.encode(), request.method, request.uri)
        return body


@implementer(IHalfCloseableProtocol)
class Echo(Protocol):
    """Sends back what it receives, also after a half-close: C{nc} ends its side first."""

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        assert self.transport is not None
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        """The client has sent all."""
        assert self.transport is not None
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Never called: only the client half-closes."""


def run(reactor: Any, once: bool) -> int:
    """Run until Ctrl-C, or only as long as the traffic takes if C{once}; the exit status."""
    return run_until(reactor, _demo(reactor, once))


def run_until(reactor: Any, ends: Coroutine[Any, Any, None]) -> int:
    """Run until C{ends} does; the exit status."""
    status: list[int] = []
    Deferred.fromCoroutine(ends).addBoth(_ended, reactor, status)
    reactor.run()
    return status[0] if status else 0


def _ended(result: Any, reactor: Any, status: list[int]) -> None:
    if result is not None:
        print(f"lproxy demo: {result.value if isinstance(result, Failure) else result}")
        status.append(1)
    if reactor.running:
        reactor.stop()
    else:
        reactor.callWhenRunning(reactor.stop)


async def _demo(reactor: Any, once: bool) -> None:
    web = [await serve(reactor, Site(Hello(f"endpoint {n}"))) for n in (1, 2)]
    echo = await serve(reactor, Factory.forProtocol(Echo))
    address = {name: f"{HOST}:{await free(reactor, port)}" for name, port in PREFERRED.items()}
    config = Config(
        admin=Admin(address=address["admin"]),
        listen=(
            Listen(name="outbound", address=address["outbound"], direction="outbound"),
            Listen(name="inbound", address=address["inbound"], direction="inbound"),
            Listen(name="tcp", address=address["tcp"], direction="outbound", target=f"{HOST}:{echo}"),
        ),
        services={"web.local:80": Service("web.local:80", tuple(f"{HOST}:{port}" for port in web))},
        # a demo ends soon, and has something to show until then
        outbound=Timeouts(drain=DRAIN, service_idle=SERVICE_IDLE),
        inbound=Timeouts(**{**INBOUND, "drain": DRAIN, "service_idle": SERVICE_IDLE}),
    )
    proxy = Proxy(config, tried(find()), reactor)
    proxy.privilegedStartService()
    proxy.startService()
    reactor.addSystemEventTrigger("before", "shutdown", proxy.stopService)
    lines = await deferToThread(_traffic, address["outbound"])
    lines.append(await words(reactor, address["tcp"]))
    print("lproxy runs between two HTTP endpoints of web.local, a TCP echo, and this bit of traffic:\n")
    width = max(len(what) for what, _ in lines)
    print("\n".join(f"  {what:<{width}}  {outcome}" for what, outcome in lines))
    print(
        f"""
Try it:

  curl -H 'Host: web.local' http://{address["outbound"]}/anything
  curl -x http://{address["outbound"]} http://web.local/as-a-forward-proxy
  curl -i -H 'Host: nobody.invalid' http://{address["outbound"]}/
  {echo_command(address["tcp"], shutil.which("nc"))}

And look inside:

  http://{address["admin"]}/             what there is
  http://{address["admin"]}/services     services, endpoints, who waits for what
  http://{address["admin"]}/connections  who is connected
  http://{address["admin"]}/metrics      for Prometheus
"""
    )
    if not once:
        print("Ctrl-C ends it.", flush=True)
        await Deferred()


async def serve(reactor: Any, factory: Any) -> int:
    """Serve C{factory} on a port that the kernel chooses, which is returned."""
    factory.noisy = False
    factory.log = lambda request: None
    port = await TCP4ServerEndpoint(reactor, 0, interface=HOST).listen(factory)
    number: int = port.getHost().port
    return number


async def free(reactor: Any, preferred: int) -> int:
    """A port that nobody has: C{preferred}, where that is so."""
    factory = Factory()
    factory.noisy = False
    try:
        port = await TCP4ServerEndpoint(reactor, preferred, interface=HOST).listen(factory)
    except CannotListenError:
        port = await TCP4ServerEndpoint(reactor, 0, interface=HOST).listen(factory)
    number: int = port.getHost().port
    await port.stopListening()
    return number


class Said(Protocol):
    """Sends something, and receives until as much has come back."""

    def __init__(self, words: bytes) -> None:
        self.words = words
        self._heard = b""
        self.heard: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Say it."""
        assert self.transport is not None
        self.transport.write(self.words)

    def dataReceived(self, data: bytes) -> None:
        """Listen."""
        self._heard += data
        if len(self._heard) >= len(self.words):
            assert self.transport is not None
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """That was all."""
        self.heard.callback(self._heard)


def echo_command(address: str, nc: str | None) -> str:
    """What says hello to C{address}: C{nc} where it is installed, else Python, which is."""
    host, _, port = address.rpartition(":")
    if nc:
        return f"printf 'hello\\n' | nc -q1 {host} {port}"
    connect = f'import socket; s = socket.create_connection(("{host}", {port}))'
    return f"python3 -c '{connect}; s.sendall(b\"hello\"); print(s.recv(9).decode())'"


def _traffic(address: str) -> list[tuple[str, str]]:
    """In a thread, as any client would."""
    from http.client import HTTPConnection

    lines = []
    client = HTTPConnection(address, timeout=5)
    for n in range(4):
        client.request("GET", f"/{n}", headers={"Host": "web.local"})
        answer = client.getresponse()
        lines.append((f"GET http://web.local/{n}", f"{answer.status} {answer.read().decode().strip()}"))
    client.request("GET", "/", headers={"Host": "nobody.invalid"})
    answer = client.getresponse()
    lines.append(("GET http://nobody.invalid/", f"{answer.status} {answer.read().decode().strip()}"))
    client.close()
    return lines


async def words(reactor: Any, address: str) -> tuple[str, str]:
    """Bytes to the echo at C{address}, and what came back."""
    host, _, port = address.rpartition(":")
    endpoint = TCP4ClientEndpoint(reactor, host, int(port), timeout=5)
    said = await connectProtocol(endpoint, Said(b"bytes of no protocol"))
    heard = await said.heard.addTimeout(5, reactor)
    return "TCP to the echo", f"{heard.decode()!r} came back"
