# -*- test-case-name: tests.configfile.test_hints -*-
"""
What users of other proxies probably mean by a table or a key that lproxy does not have.

By name alone the nearest one is often the wrong one: C{timeouts.idle} is not C{metrics.idle}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from lproxy.config import Timeouts
from lproxy.configfile.problem import Path, show

SERVICES = 'endpoints stand in [services."NAME"], as endpoints = ["127.0.0.1:8081"]'
LISTENERS = "each listener is a table [[listen]], in double brackets"
TARGET = 'write target = "service:NAME", and the endpoints in [services.NAME]'
ADDRESS = 'write IP and port as one: address = "127.0.0.1:4140"'
TLS = "TLS with clients is a listener's: certificates = [...] in [[listen]]; to upstreams a service's: tls = true"
CERTIFICATES = 'write certificates = ["FILE.pem"], with certificate and key in it, or the key beside it in FILE.key'
UPSTREAM_TLS = "write tls = true; whom to trust is ca, whose name is expected server_name"
RETRIES = (
    "where it does no harm, a request is repeated on another endpoint anyway; more is a route's: "
    '[services."NAME".routes.ROUTE] retries = { statuses = "5xx" }'
)
ROUTES = '[services."NAME".routes.ROUTE], each with match = { path_prefix = "/..." }'
HEALTH = (
    'a service\'s endpoints are asked with health = { path = "/healthz" }; besides, one that fails is passed over and '
    "tried again after timeouts.backoff_min: see limits.max_failures and [balancing]"
)
BALANCE = (
    "of two endpoints at random, the one that will be done first is taken; weights and zones are an endpoint's: "
    'endpoints = [{ address = "127.0.0.1:8081", weight = 3 }]; see also [balancing]'
)
LOGS = "the environment variable LPROXY_LOG sets the level; requests and connections are logged to [access_log] path"
IN_FLIGHT = "limits.in_flight bounds requests, limits.connections bounds clients"
PAGES = "metrics and pages are served at [admin] address, /metrics and others"
WHOLE = "the limit on a whole request and its response is timeouts.stream"


def _each(names: str, hint: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), hint)


#: by the table that they stand in (none: at the top), then by name; without - and _ and in lower case
HINTS: Mapping[str, Mapping[str, str]] = {
    "": {
        **_each("retry retries retrypolicy", RETRIES),
        **_each(
            "route routes router routers routing rules",
            f"HTTP is routed by its Host to [services] or DNS, then by a service's routes: {ROUTES}; else {TARGET}",
        ),
        **_each("healthcheck healthchecks health probe probes outlier outlierdetection ejection", HEALTH),
        **_each("upstream upstreams backend backends cluster clusters server servers endpoints service pool", SERVICES),
        **_each("listener listeners frontend frontends entrypoint entrypoints bind port", LISTENERS),
        **_each("tls ssl cert certs certificate certificates https", TLS),
        **_each("log logs logging loglevel errorlog", LOGS),
        **_each("balance balancer loadbalancer loadbalancing lb", BALANCE),
        **_each("ratelimit ratelimits ratelimiting", IN_FLIGHT),
        **_each("user group uid gid", "twistd has it: twistd --uid=USER --gid=GROUP lproxy --config FILE"),
        **_each("daemon daemonize pidfile", "twistd has it: twistd --pidfile=FILE lproxy --config FILE"),
        **_each("threads processes", 'workers = N, or "auto", is how many processes serve'),
        **_each("trace traces opentelemetry otel otlp zipkin jaeger", "did you mean [tracing], with its endpoint?"),
        **_each("include includes import", "there is one file, and nothing is read besides"),
        **_each(
            "circuitbreaker circuitbreakers breaker",
            "timeouts.failfast is when a service that is not ready is given up",
        ),
        **_each("prometheus stats statistics api dashboard", PAGES),
        **_each("resolver resolvers nameserver nameservers", 'did you mean [dns], with servers = ["10.0.0.2:53"]?'),
        **_each(
            "inbound outbound", LISTENERS + ', with direction = "inbound" or "outbound"; see also [timeouts.inbound]'
        ),
    },
    "listen": {
        **_each(
            "timeouts timeout", "timeouts are those of a direction: [timeouts], [timeouts.inbound], [timeouts.outbound]"
        ),
        **_each("limits limit", "limits are those of the whole proxy: [limits]"),
        **_each("port host bind ip interface", ADDRESS),
        **_each("ssl cert certs certificate key sslcert sslcertificate tlscert tlskey", CERTIFICATES),
        **_each("sni", 'did you mean target = "sni"?'),
        **_each("redirect httpsredirect forcehttps", 'did you mean "redirect_https"?'),
        **_each("mtls clientca clientcert verifyclient", "whom to believe is [identity] trust; see require_identity"),
        **_each("upstream upstreams backend backends service services endpoints servers routes cluster", TARGET),
        **_each("mode type", 'did you mean "protocol"?'),
        **_each("accesslog", "one access log is for the whole proxy: [access_log]"),
        **_each("acceptproxy proxy haproxy proxyheader", 'did you mean proxy_protocol = "require"?'),
        **_each("setrealipfrom realip proxyprotocoltrusted", f"did you mean {show('proxy_protocol_from')}?"),
        **_each("protocols", 'did you mean "detect", for several, or "protocol", for one without detection?'),
    },
    "services": {
        **_each(
            "address addresses host hosts server servers target upstream url",
            f"did you mean {show('endpoints')}?",
        ),
        **_each("balance balancer lb loadbalancer policy weight weights", BALANCE),
        **_each("healthcheck check", HEALTH),
        **_each("zone zones region", "the zone is an endpoint's, and the proxy's own is [balancing] zone"),
        **_each("retry retries retryable isretryable", RETRIES),
        **_each("retrybudgets", 'did you mean "retry_budget"?'),
        **_each("route router rules match", f"did you mean {ROUTES}?"),
        **_each("split trafficsplit canary weightedclusters dstoverrides weighted", 'did you mean "backends"?'),
        **_each("ratelimit ratelimits rate limit", 'did you mean "rates"?'),
        **_each("stickiness affinity sessionaffinity hash hashpolicy", 'did you mean "sticky"?'),
        **_each(
            "timeout timeouts",
            "timeouts are those of a direction: [timeouts], [timeouts.inbound], [timeouts.outbound]; or of a route: "
            '[services."NAME".routes.ROUTE] timeouts = { stream = "2s" }',
        ),
        **_each("port", 'the port stands with each endpoint: endpoints = ["127.0.0.1:8081"]'),
        **_each("http2 h2 grpc h2c", 'write protocol = "http2"'),
        **_each("sendproxy sendproxyv2 proxyheader", 'did you mean proxy_protocol = "v2"?'),
        **_each("ssl https", UPSTREAM_TLS),
        **_each("sni hostname", 'did you mean "server_name"?'),
        **_each("cacert cafile trust", 'did you mean "ca"?'),
        **_each("cert clientcert", 'did you mean "certificate"?'),
        **_each(
            "insecure skipverify tlsinsecure insecureskipverify verify",
            "a certificate is always verified: write whom to trust as ca = FILE, and its name as server_name",
        ),
    },
    "routes": {
        **_each("retry isretryable retryable retryon retrypolicy numretries attempts", 'did you mean "retries"?'),
        **_each("timeout requesttimeout request total", 'write timeouts = { stream = "2s" }'),
        **_each("pertrytimeout backendrequest", 'write timeouts = { per_try = "500ms" }'),
        **_each(
            "path prefix pathprefix pathregex method methods headers header query condition when", "it belongs in match"
        ),
        **_each("ratelimit ratelimits rate limit", 'did you mean "rates"?'),
        **_each("classes failures isfailure", 'did you mean "response_classes"?'),
        **_each("weightedclusters clusters split backendrefs service cluster dstoverrides", 'did you mean "backends"?'),
        **_each("prefixrewrite regexrewrite urlrewrite stripprefix rewriteprefix", 'write rewrite = { prefix = "/" }'),
        **_each("directresponse response static fixedresponse", 'did you mean "answer"?'),
        **_each("requestheadersadd requestheadersset requestheadermodifier", 'did you mean "request_headers"?'),
        **_each("responseheadersadd responseheadersset responseheadermodifier", 'did you mean "response_headers"?'),
        **_each("mirror shadow requestmirror requestmirrorpolicies", "lproxy mirrors no requests"),
        **_each("maxbodysize bodylimit bodysize clientmaxbodysize", 'did you mean "max_body"?'),
    },
    "identity": {
        **_each("ca anchors trustanchors bundle", 'did you mean "trust"?'),
        **_each("cert crt", 'did you mean "certificate"?'),
        **_each("name id trustdomain", "the name is that in the certificate, the trust domain as well"),
    },
    "timeouts": {
        **_each("idle keepaliveidle", 'did you mean "client_idle", "upstream_idle" or "service_idle"?'),
        **_each("read", 'did you mean "header_read" or "body" (of a request), or "response_headers"?'),
        **_each("send", 'did you mean "write" (an HTTP client that stops reading)?'),
        **_each("request call total overall proxy http", f'did you mean "acquire" (waiting in the proxy)? {WHOLE}'),
        **_each("response server upstream backend", 'did you mean "response_headers", or "connect"?'),
        **_each("client", 'did you mean "client_idle", "header_read", "body" or "write"?'),
        **_each("header headers requestheader", 'did you mean "header_read" (of a request) or "response_headers"?'),
        **_each("queue wait pending", 'did you mean "acquire"?'),
        **_each("dns resolve", "did you mean timeout in [dns]? timeouts.acquire bounds all waiting"),
        **_each("shutdown graceful grace", 'did you mean "drain"?'),
        **_each("retry retries", "retries share timeouts.acquire with all other waiting in the proxy"),
        **_each("tcp tunnel", 'byte streams may be idle; did you mean "keepalive" (is the peer still there)?'),
    },
    "admin": {
        **_each("port host bind", 'write IP and port as one: address = "127.0.0.1:4191"'),
        **_each("enabled enable disabled", 'address = "" turns it off'),
        **_each("tls https ssl", 'write certificate = "FILE", and it speaks https alone'),
        **_each("ca clientcas trust", 'did you mean "client_ca"?'),
        **_each("cert crt", 'did you mean "certificate"?'),
    },
    "key_log": _each("file", f"did you mean {show('path')}?"),
    "dns": _each("server nameserver nameservers resolver resolvers", f"did you mean {show('servers')}?"),
    "limits": {
        **_each("requests rate rps ratelimit", IN_FLIGHT),
        **_each("maxconnections clients", f"did you mean {show('connections')}?"),
        **_each(
            "body bodysize maxbody", "bodies of any length are streamed; limits.buffer bounds what is held of them"
        ),
    },
    "metrics": _each("port address listen path enabled enable", PAGES),
    "tracing": {
        **_each("url address collector host", f"did you mean {show('endpoint')}?"),
        **_each("ratio rate probability samplerate sampling", f"did you mean {show('sample')}?"),
        **_each("name servicename", f"did you mean {show('service')}?"),
        **_each("propagators format formats", f"did you mean {show('propagation')}?"),
        **_each("enabled enable", 'endpoint = "http://127.0.0.1:4318" turns it on, endpoint = "" off'),
    },
    "access_log": {
        **_each("file", f"did you mean {show('path')}?"),
        **_each("enabled enable", 'path = "-" turns it on, path = "" off'),
        **_each("logformat template pattern", f"did you mean {show('format')}?"),
    },
}

#: the key that is meant where a value stands in the place of the whole table
MAIN: Mapping[str, str] = {
    "access_log": "path",
    "admin": "address",
    "dns": "servers",
    "key_log": "path",
    "services": "endpoints",
    "tracing": "endpoint",
}


def hint(path: Path) -> str:
    """What is probably meant by the unknown key or table at C{path} of a file; empty where there is no telling."""
    names = [part for part in path if isinstance(part, str)]
    table = names[0] if len(names) > 1 else ""
    if names[2:3] == ["routes"]:
        # what stands in a route's tables is none of a service's
        table = "routes" if len(names) == 5 else "further in"
    name = names[-1][:100].lower().replace("_", "").replace("-", "")
    if table != "timeouts":
        return HINTS.get(table, {}).get(name, "")
    bare = name.removesuffix("timeout")
    if bare != name and any(field.name == bare for field in fields(Timeouts)):
        return f"did you mean {show(bare)}?"
    return HINTS[table].get(bare, "")


def as_main(path: Path, value: object) -> str:
    """The line to write where C{value} stands in the place of the table at C{path}; empty where there is no telling."""
    key = MAIN.get(str(path[0]), "")
    if not key or len(path) != (2 if key == "endpoints" else 1):
        return ""
    if isinstance(value, str) and value:
        return f"{key} = [{show(value)}]" if key in ("servers", "endpoints") else f"{key} = {show(value)}"
    if (
        isinstance(value, list)
        and key in ("servers", "endpoints")
        and value
        and all(isinstance(one, str) for one in value)
    ):
        return f"{key} = [{', '.join(show(one) for one in value[:3])}{', ...' if len(value) > 3 else ''}]"
    return ""
