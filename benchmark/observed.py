# -*- test-case-name: tests.benchmark.test_observed -*-
"""
How each proxy is told to be observed, one way at a time (L{benchmark.peer.OBSERVED}): a line of the access log for
each request, traces, request ids, metrics that somebody scrapes.

Lines go to a file and wait in memory for up to a second, where a proxy can be told so. A trace is sent to a collector
by OTLP over HTTP. What a proxy has for metrics it counts anyway; to be scraped it needs a port.
"""

from pathlib import Path

from benchmark.peer import IDS, LOG_JSON, LOG_TEXT, SCRAPED, TRACE_ALL, TRACE_SOME, Setting
from benchmark.process import HOST

#: the part of all requests that is traced
SAMPLE = {TRACE_SOME: 0.01, TRACE_ALL: 1.0}
#: where who is asked for metrics has them, if not there
METRICS_PATH = {"envoy": "/stats/prometheus"}

NGINX_CANNOT = {
    **dict.fromkeys(SAMPLE, "nginx traces with a module that Debian does not have"),
    SCRAPED: "nginx counts nothing of requests that Prometheus could read",
}
HAPROXY_CANNOT = {
    **dict.fromkeys(SAMPLE, "HAProxy 2.6 sends spans with a filter that Debian does not have"),
    LOG_JSON: "HAProxy 2.6 has no format that is JSON whatever a client sends",
}
ENVOY_CANNOT = {IDS: "Envoy gives every request an id: it is in all of its figures"}


def log_file(proxy: str, directory: Path) -> Path:
    """Where C{proxy} writes its lines; HAProxy to its standard output, among a few others of its own."""
    return directory / ("log" if proxy == "haproxy" else "access.log")


def lproxy(setting: Setting) -> tuple[str, str]:
    """More of the listener C{http}, and tables."""
    how, directory = setting.observe, setting.directory
    if how in (LOG_JSON, LOG_TEXT):
        format = "json" if how == LOG_JSON else "envoy"
        return "", f'\n[access_log]\npath = "{directory.absolute()}/access.log"\nformat = "{format}"\n'
    if how in SAMPLE:
        endpoint = f"http://{HOST}:{setting.collector}"
        return "", f'\n[tracing]\nendpoint = "{endpoint}"\nsample = {SAMPLE[how]}\nservice = "benchmark"\n'
    return '\nrequest_id = "generate"' if how == IDS else "", ""


NGINX_JSON = """\
log_format json escape=json '{{"time":"$time_iso8601","client":"$remote_addr:$remote_port","method":"$request_method",'
    '"authority":"$http_host","path":"$request_uri","protocol":"$server_protocol","status":$status,'
    '"upstream":"$upstream_addr","seconds":$request_time,"upstream_head_seconds":"$upstream_header_time",'
    '"upstream_seconds":"$upstream_response_time","bytes_in":$request_length,"bytes_out":$body_bytes_sent,'
    '"user_agent":"$http_user_agent","referer":"$http_referer","forwarded_for":"$http_x_forwarded_for",'
    '"request_id":"$http_x_request_id"}}';
  """


def nginx(setting: Setting) -> tuple[str, str]:
    """Of its block http, and of its location."""
    how = setting.observe
    if how in (LOG_JSON, LOG_TEXT):
        formats, name = (NGINX_JSON.format(), "json") if how == LOG_JSON else ("", "combined")
        return f'{formats}access_log "{setting.directory}/access.log" {name} buffer=64k flush=1s;', ""
    return "access_log off;", " proxy_set_header X-Request-Id $request_id;" if how == IDS else ""


HAPROXY_METRICS = """\
frontend metrics
  mode http
  bind {host}:{port}
  http-request use-service prometheus-exporter if {{ path /metrics }}
"""


def haproxy(setting: Setting) -> tuple[str, str]:
    """Of its frontend, and another one."""
    how = setting.observe
    if how == LOG_TEXT:
        return "  log stdout format raw local0\n  option httplog\n", ""
    if how == IDS:
        return "  unique-id-format %[uuid()]\n  unique-id-header X-Request-Id\n", ""
    return "", HAPROXY_METRICS.format(host=HOST, port=setting.ports.admin) if how == SCRAPED else ""


ENVOY_LOG = """\
          access_log: [{{name: envoy.access_loggers.file, typed_config: {{"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: "{path}"{format}}}}}]
"""  # noqa: E501
ENVOY_FIELDS = {
    "time": "START_TIME",
    "client": "DOWNSTREAM_REMOTE_ADDRESS",
    "method": "REQ(:METHOD)",
    "authority": "REQ(:AUTHORITY)",
    "path": "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)",
    "protocol": "PROTOCOL",
    "status": "RESPONSE_CODE",
    "flags": "RESPONSE_FLAGS",
    "upstream": "UPSTREAM_HOST",
    "route": "ROUTE_NAME",
    "tries": "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "milliseconds": "DURATION",
    "upstream_head_milliseconds": "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)",
    "bytes_in": "BYTES_RECEIVED",
    "bytes_out": "BYTES_SENT",
    "user_agent": "REQ(USER-AGENT)",
    "referer": "REQ(REFERER)",
    "forwarded_for": "REQ(X-FORWARDED-FOR)",
    "request_id": "REQ(X-REQUEST-ID)",
}
ENVOY_VALUES = ", ".join(f'{name}: "%{of}%"' for name, of in ENVOY_FIELDS.items())
ENVOY_JSON = ", log_format: {json_format: {" + ENVOY_VALUES + "}}"
ENVOY_TRACING = """\
          tracing:
            random_sampling: {{value: {percent}}}
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                service_name: benchmark
                http_service: {{http_uri: {{uri: "http://{host}:{port}/v1/traces", cluster: collector, timeout: 1s}}}}
"""
ENVOY_ADMIN = "admin: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}\n"


def envoy(setting: Setting) -> tuple[str, str]:
    """Its admin server, and of its connection manager."""
    how = setting.observe
    if how in (LOG_JSON, LOG_TEXT):
        format = ENVOY_JSON if how == LOG_JSON else ""
        return "", ENVOY_LOG.format(path=setting.directory.absolute() / "access.log", format=format)
    if how in SAMPLE:
        return "", ENVOY_TRACING.format(percent=100 * SAMPLE[how], host=HOST, port=setting.collector)
    return ENVOY_ADMIN.format(host=HOST, port=setting.ports.admin) if how == SCRAPED else "", ""
