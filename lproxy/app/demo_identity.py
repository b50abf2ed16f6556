# -*- test-case-name: tests.integration.test_demo -*-
"""
C{lproxy demo --identity}: two proxies with mutual TLS between them, a little real traffic through both, and what each
knows of the other.

    client - web (outbound) - TLS, both prove who they are - app (inbound) - two toy applications
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from lproxy.app.demo import DRAIN, HOST, SERVICE_IDLE, Echo, Hello, echo_command, free, run_until, serve, words
from lproxy.app.identities import wall_clock
from lproxy.app.plugins import find, tried
from lproxy.app.service import Proxy
from lproxy.config import INBOUND, Admin, Config, Identity, Listen, Service, Timeouts
from lproxy.identity import develop

WEB, APP, STRANGER = "web.demo.mesh", "app.demo.mesh", "stranger.demo.mesh"
#: other ports are used where these are taken
PREFERRED = {"web": 4140, "bytes": 4144, "app": 4143, "echo": 4145, "web admin": 4191, "app admin": 4192}


def run(reactor: Any, once: bool) -> int:
    """Run until Ctrl-C, or only as long as the traffic takes if C{once}; the exit status."""
    with tempfile.TemporaryDirectory(prefix="lproxy-demo-") as folder:
        return run_until(reactor, _demo(reactor, once, folder))


async def _demo(reactor: Any, once: bool, folder: str) -> None:
    hello = await serve(reactor, Site(Hello("the application")))
    echo = await serve(reactor, Factory.forProtocol(Echo))
    at = {name: f"{HOST}:{await free(reactor, port)}" for name, port in PREFERRED.items()}
    develop.init(folder, "demo.mesh", 1, wall_clock())
    identities = {name: _issue(folder, name) for name in (WEB, APP, STRANGER)}
    for config in (_app(at, identities[APP], hello, echo), _web(at, identities[WEB])):
        proxy = Proxy(config, tried(find()), reactor)
        proxy.privilegedStartService()
        proxy.startService()
        reactor.addSystemEventTrigger("before", "shutdown", proxy.stopService)
    lines = await deferToThread(_traffic, at)
    lines.append(await words(reactor, at["bytes"]))
    rows = await deferToThread(_rows, at)
    print(f"Two proxies run, with mutual TLS between them. One is {WEB}, the other is {APP}:\n")
    width = max(len(what) for what, _ in lines)
    print("\n".join(f"  {what:<{width}}  {outcome}" for what, outcome in lines))
    print("\nBoth know whom they talk to (tcp_open_total of their /metrics):\n")
    print("\n".join(f"  {row}" for row in rows))
    print(_more(at, folder))
    if not once:
        print("Ctrl-C ends it.", flush=True)
        await Deferred()


def _issue(folder: str, name: str) -> Identity:
    develop.issue(folder, [name], 1, wall_clock())
    trust, certificate, key = (str(Path(folder, file)) for file in (develop.TRUST, f"{name}.pem", f"{name}.key"))
    return Identity(trust, certificate, key)


def _web(at: dict[str, str], identity: Identity) -> Config:
    """Beside a client: it knows who the application is, and speaks to nobody else in its place."""
    return Config(
        admin=Admin(address=at["web admin"]),
        identity=identity,
        listen=(
            Listen(name="web", address=at["web"], direction="outbound"),
            Listen(name="bytes", address=at["bytes"], direction="outbound", target="service:echo"),
        ),
        services={
            "app.local:80": Service("app.local:80", (at["app"],), identity=APP),
            "wrong.local:80": Service("wrong.local:80", (at["app"],), identity=STRANGER),
            "echo": Service("echo", (at["echo"],), identity=APP),
        },
        outbound=Timeouts(drain=DRAIN, service_idle=SERVICE_IDLE),
    )


def _app(at: dict[str, str], identity: Identity, hello: int, echo: int) -> Config:
    """Beside the application: only C{web} may."""
    only_web = {"direction": "inbound", "allow": (WEB,)}
    return Config(
        admin=Admin(address=at["app admin"]),
        identity=identity,
        listen=(
            Listen(name="app", address=at["app"], target=f"{HOST}:{hello}", **only_web),  # type: ignore[arg-type]
            Listen(name="echo", address=at["echo"], target=f"{HOST}:{echo}", **only_web),  # type: ignore[arg-type]
        ),
        inbound=Timeouts(**{**INBOUND, "drain": DRAIN, "service_idle": SERVICE_IDLE}),
    )


def _traffic(at: dict[str, str]) -> list[tuple[str, str]]:
    """In a thread, as any client would."""
    from http.client import HTTPConnection

    lines = []
    for what, address, host in (
        ("GET http://app.local/ by way of both", at["web"], "app.local"),
        ("the same without the first", at["app"], "app.local"),
        ("to somebody whom app is not", at["web"], "wrong.local"),
    ):
        client = HTTPConnection(address, timeout=5)
        client.request("GET", "/", headers={"Host": host})
        answer = client.getresponse()
        lines.append((what, f"{answer.status} {answer.read().decode().strip()}"))
        client.close()
    return lines


def _rows(at: dict[str, str]) -> list[str]:
    rows = []
    for name in ("web", "app"):
        with urlopen(f"http://{at[f'{name} admin']}/metrics", timeout=5) as page:
            text: str = page.read().decode()
        rows += [f"{name}: {line}" for line in text.splitlines() if line.startswith("tcp_open_total{") and TLS in line]
    return rows


#: of connections that are secured
TLS = 'tls="true"'


def _more(at: dict[str, str], folder: str) -> str:
    certificate = Path(folder, f"{STRANGER}.pem")
    return f"""
Try it, as the application next to web does, without a certificate or a word about TLS:

  curl -H 'Host: app.local' http://{at["web"]}/anything
  {echo_command(at["bytes"], None)}

As somebody whom app does not let in, in TLS; what the file holds; and whom it was:

  curl -i --cacert {Path(folder, develop.TRUST)} --cert {certificate} --key {certificate.with_suffix(".key")} \
--connect-to {APP}:443:{at["app"]} https://{APP}/
  lproxy identity show --trust {Path(folder, develop.TRUST)} {certificate}
  curl -s http://{at["app admin"]}/metrics | grep policy_denied_total

And look inside:

  http://{at["web admin"]}/connections  who is connected to web
  http://{at["app admin"]}/connections  who is connected to app, and who it is
  http://{at["web admin"]}/metrics      for Prometheus
  http://{at["app admin"]}/metrics
"""
