# -*- test-case-name: tests.benchmark.test_ways -*-
"""
Listeners with TLS or HTTP/2 in front, behind, or both: what is spoken on each side, and how each proxy is told.

They come in groups, and a proxy has those of a group when a scenario needs one of them; so an older lproxy is measured
without words that it does not know. Two hops are two processes of the same proxy. All have one certificate of ECDSA
P-256, TLS 1.3 alone, and session tickets. What is not said here is everybody's default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark import routing
from benchmark.certificates import NAME, Files
from benchmark.process import HOST

HTTP1, HTTP2, GRPC = "http1", "http2", "grpc"


@dataclass(frozen=True)
class Way:
    """
    One listener, and what it leads to.

    @ivar to: what stands behind it: the upstream C{http}, C{h2} or C{grpc}, or the listener of the second hop
    @ivar front: what its clients speak without TLS; with TLS they choose
    @ivar back: what is spoken to C{to}; gRPC is HTTP/2 for all but nginx
    @ivar tls: whether its clients speak TLS
    @ivar asks: whether they must show a certificate
    @ivar shows: whether it speaks TLS to C{to}, and shows its certificate there
    @ivar routed: whether it tells requests apart by twenty routes
    """

    name: str
    group: str
    to: str
    front: str = HTTP1
    back: str = HTTP1
    tls: bool = False
    asks: bool = False
    shows: bool = False
    routed: bool = False


WAYS: dict[str, Way] = {
    way.name: way
    for way in (
        Way("https", "tls", "http", tls=True),
        Way("hops", "first", "hops-second"),
        Way("mtls", "first", "mtls-second", shows=True),
        Way("hops-second", "second", "http"),
        Way("mtls-second", "second", "http", tls=True, asks=True),
        Way("unrouted", "routes", "http"),
        Way("routes", "routes", "http", routed=True),
        Way("h2", "h2", "h2", HTTP2, HTTP2),
        Way("h2-h1", "h2", "http", HTTP2, HTTP1),
        Way("h1-h2", "h2", "h2", HTTP1, HTTP2),
        Way("grpc", "h2", "grpc", HTTP2, GRPC),
    )
}


def group(listener: str) -> list[str]:
    """Every way of the group that C{listener} belongs to; none for the plain ones."""
    return [name for name, way in WAYS.items() if listener in WAYS and way.group == WAYS[listener].group]


def second(names: Sequence[str]) -> list[str]:
    """What the second hop needs for the ways C{names} of the first."""
    return [way.to for way in map(WAYS.__getitem__, names) if way.to in WAYS and way.group == "first"]


@dataclass(frozen=True)
class Placed:
    """A way with its ports: where it listens, and where that is which it leads to."""

    way: Way
    port: int
    upstream: int

    def words(self, files: Files) -> dict[str, object]:
        """For templates."""
        name = self.way.name
        return {"host": HOST, "name": name, "port": self.port, "upstream": self.upstream, "files": files, "mesh": NAME}


def placed(ports: Mapping[str, int], behind: Mapping[str, int]) -> list[Placed]:
    """The ways that have a port, each in front of one of C{behind}: an upstream, or the second hop's listener."""
    return [Placed(WAYS[name], port, behind[WAYS[name].to]) for name, port in ports.items()]


# lproxy

LPROXY_IDENTITY = """
[identity]
trust = "{files.authority}"
certificate = "{files.certificate}"
key = "{files.key}"
"""

LPROXY = """
[[listen]]
name = "{name}"
address = "{host}:{port}"
target = "service:{name}"
{front}
[services."{name}"]
endpoints = ["{host}:{upstream}"]
{back}"""


def lproxy(ways: list[Placed], files: Files) -> str:
    """
    Our own tables; a hop knows the next by its identity.

    Like the others' listeners, these are HTTP's alone: to detect it is what the plain ones are for, and a client that
    closes without a word would be one of TCP, for which the upstream is dialled.
    """
    text = LPROXY_IDENTITY.format(files=files) if any(one.way.asks or one.way.shows for one in ways) else ""
    for one in ways:
        front, back = ['protocol = "http"'], []
        if one.way.tls:
            front += ['tls = "terminate"', f'certificates = ["{files.both}"]']
            front += ["require_identity = true"] if one.way.asks else []
        if one.way.shows:
            back = [f'identity = "{NAME}"']
        if HTTP2 in (one.way.front, one.way.back) or one.way.back == GRPC:
            back.append(f'protocol = "{HTTP1 if one.way.back == HTTP1 else HTTP2}"')
        text += LPROXY.format(front="\n".join(front), back="\n".join([*back, ""]), **one.words(files))
        text += routing.lproxy(one.way.name) if one.way.routed else ""
    return text


# nginx

NGINX = """
  upstream {name} {{ server {host}:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen {host}:{port} backlog=4096{how};{front}{routes}
    location / {{ {back} }}
  }}
"""
NGINX_TLS = """
    ssl_certificate "{files.certificate}"; ssl_certificate_key "{files.key}"; ssl_protocols TLSv1.3;
    ssl_session_cache shared:{name}:4m; ssl_session_tickets on;"""
NGINX_CLIENT = """
    ssl_client_certificate "{files.authority}"; ssl_verify_client on;"""
NGINX_BACK = 'proxy_pass {scheme}://{name}; proxy_http_version 1.1; proxy_set_header Connection "";'
NGINX_BACK_TLS = """
      proxy_ssl_certificate "{files.certificate}"; proxy_ssl_certificate_key "{files.key}"; proxy_ssl_protocols TLSv1.3;
      proxy_ssl_trusted_certificate "{files.authority}"; proxy_ssl_verify on; proxy_ssl_name {mesh};
      proxy_ssl_server_name on; """

#: listeners that nginx cannot have, and why
NGINX_CANNOT = dict.fromkeys(
    ("h2", "h1-h2"), "nginx speaks HTTP/2 to upstreams with gRPC's module alone (grpc_pass), not with proxy_pass"
)


def nginx(ways: list[Placed], files: Files) -> str:
    """Servers for its http block, of those that it can have."""
    text = ""
    for one in ways:
        if one.way.name in NGINX_CANNOT:
            continue
        words = one.words(files)
        how = " ssl" if one.way.tls else ""
        how += " http2" if one.way.front == HTTP2 or (one.way.tls and not one.way.asks) else ""
        front = (NGINX_TLS if one.way.tls else "") + (NGINX_CLIENT if one.way.asks else "")
        back = "grpc_pass grpc://{name}; client_max_body_size 0;" if one.way.back == GRPC else NGINX_BACK
        back += NGINX_BACK_TLS if one.way.shows else ""
        back = back.format(scheme="https" if one.way.shows else "http", **words)
        routes = routing.nginx(back) if one.way.routed else ""
        text += NGINX.format(how=how, front=front.format(**words), routes=routes, back=back, **words)
    return text


# HAProxy

HAPROXY = """\
frontend {name}
  mode http
  bind {host}:{port} backlog 4096{front}
{routes}  default_backend {name}
backend {name}
  mode http
  http-reuse always
  server s {host}:{upstream}{back}
"""
HAPROXY_TLS = " ssl crt {files.both} ssl-min-ver TLSv1.3"
HAPROXY_CLIENT = " ca-file {files.authority} verify required"
HAPROXY_BACK = (
    " ssl crt {files.both} ca-file {files.authority} verify required verifyhost {mesh} sni str({mesh})"
    " ssl-min-ver TLSv1.3"
)


def haproxy(ways: list[Placed], files: Files) -> str:
    """A frontend and a backend for each."""
    text = ""
    for one in ways:
        words = one.words(files)
        front = HAPROXY_TLS + (HAPROXY_CLIENT if one.way.asks else " alpn h2,http/1.1") if one.way.tls else ""
        front += " proto h2" if one.way.front == HTTP2 else ""
        back = HAPROXY_BACK if one.way.shows else ""
        back += "" if one.way.back == HTTP1 else " proto h2"
        routes = routing.haproxy(one.way.name) if one.way.routed else ""
        text += HAPROXY.format(front=front.format(**words), routes=routes, back=back.format(**words), **words)
    return text


# Envoy

ENVOY_LISTENER = """\
  - address: {{socket_address: {{address: {host}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          route_config: {{virtual_hosts: [{{name: all, domains: ["*"], routes: [{routes}{{match: {{prefix: "/"}}, route: {{cluster: {name}}}}}]}}]}}
          http_filters: [{{name: envoy.filters.http.router, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]
{front}"""  # noqa: E501
ENVOY_TLS = """\
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: {mutual}
          common_tls_context:
            {parameters}
            alpn_protocols: {alpn}
            {validation}
"""
ENVOY_PARAMETERS = (
    "tls_params: {{tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}}\n"
    '            tls_certificates: [{{certificate_chain: {{filename: "{files.certificate}"}}, '
    'private_key: {{filename: "{files.key}"}}}}]'
)
ENVOY_VALIDATION = (
    'validation_context: {{trusted_ca: {{filename: "{files.authority}"}}, '
    'match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: "{mesh}"}}}}]}}'
)
ENVOY_CLUSTER = """\
  - name: {name}
    type: STATIC
    connect_timeout: 5s
    load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {upstream}}}}}}}}}]}}]}}
{back}"""  # noqa: E501
ENVOY_BACK_TLS = """\
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: {mesh}
          common_tls_context:
            {parameters}
            {validation}
"""
ENVOY_BACK_HTTP2 = """\
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"""


def envoy(ways: list[Placed], files: Files) -> tuple[str, str]:
    """Its listeners and its clusters."""
    listeners = clusters = ""
    for one in ways:
        words = one.words(files)
        parameters = ENVOY_PARAMETERS.format(**words)
        validation = ENVOY_VALIDATION.format(**words) if one.way.asks or one.way.shows else ""
        front = back = ""
        if one.way.tls:
            mutual, alpn = ("true", "[http/1.1]") if one.way.asks else ("false", "[h2, http/1.1]")
            front = ENVOY_TLS.format(mutual=mutual, alpn=alpn, parameters=parameters, validation=validation)
        if one.way.shows:
            back = ENVOY_BACK_TLS.format(parameters=parameters, validation=validation, **words)
        back += "" if one.way.back == HTTP1 else ENVOY_BACK_HTTP2
        routes = routing.envoy(one.way.name) if one.way.routed else ""
        listeners += ENVOY_LISTENER.format(front=front, routes=routes, **words)
        clusters += ENVOY_CLUSTER.format(back=back, **words)
    return listeners, clusters
