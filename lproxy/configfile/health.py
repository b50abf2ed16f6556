# -*- test-case-name: tests.configfile.test_health -*-
"""
C{health} of a service: how its endpoints are asked, beside all requests, whether they serve.
"""

from __future__ import annotations

from typing import Any, Final

from lproxy.balancing import Asked, HealthCheck
from lproxy.configfile.kinds import KINDS, kind_of
from lproxy.configfile.problem import Path, Report, Wrong, show
from lproxy.configfile.profile.keys import STATUS_RANGE
from lproxy.configfile.profile.shape import NOTHING, Key, Keys, Many, One, attempt
from lproxy.configfile.table import Table
from lproxy.edits import bad_host

#: of a service's table
KEY: Final = "health"

COUNT: Final = KINDS[int, ""]
DURATION: Final = KINDS[float, "duration"]
TEXT: Final = KINDS[str, ""]


def target(text: str) -> str:
    """
    C{text}, as a request may ask for it.

    @raise Wrong: it is no path
    """
    if not text.startswith("/"):
        raise Wrong(f"{show(text)} is no path", f"write {show('/' + text.lstrip('/'))}")
    if not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        raise Wrong(f"{show(text)} is no path of a request", "write what is no letter of ASCII as %XX")
    return text


def host(text: str) -> str:
    """C{text}, as an authority; raises L{Wrong}."""
    if wrong := bad_host(text):
        raise Wrong(wrong, 'write a name such as "web.local"')
    return text


def _settle(values: dict[str, Any]) -> None:
    if "kind" not in values and "service" in values:
        values["kind"] = "grpc"
    kind = values.get("kind", "http")
    for key, wanted in (("path", ("http",)), ("expect", ("http",)), ("service", ("grpc",)), ("host", ("http", "grpc"))):
        if key in values and kind not in wanted:
            raise Wrong(f"has a {key}, which is nothing of kind = {show(kind)}", "leave it out, or write another kind")
    interval, timeout = (values.get(key, getattr(HealthCheck(), key)) for key in ("interval", "timeout"))
    if timeout > interval:
        raise Wrong("has a timeout that is longer than its interval", "lower the one or raise the other")


HEALTH: Final = Keys(
    HealthCheck,
    "a service's health; its path alone may stand in the place of the table",
    (
        Key(
            "kind",
            One(kind_of(Asked, "")),
            "http: a GET; grpc: Check of grpc.health.v1, by HTTP/2; tcp: a connection, and no more: as protocols other "
            "than HTTP do in any case, and HTTP/1 for grpc",
        ),
        Key("path", One(TEXT, target), "what the GET asks for"),
        Key("host", One(TEXT, host), "the authority that is asked for; unset: the service's name"),
        Key("service", One(TEXT), "the service that gRPC is asked for; unset: the whole server"),
        Key("expect", Many(One(STATUS_RANGE), lone=True), "statuses of good answers, as 200, 200-299 or 2xx"),
        Key("interval", One(DURATION), "between two questions, jittered by a tenth"),
        Key("timeout", One(DURATION), "for one of them, connecting included"),
        Key("healthy", One(COUNT), "good answers in a row after which an endpoint that is down is in use again"),
        Key("unhealthy", One(COUNT), "bad ones in a row after which one in use is down; the very first decides alone"),
    ),
    settle=_settle,
    lone="path",
)


def read_health(table: Table, path: Path, report: Report) -> HealthCheck | None:
    """What the service's C{table} says of it; what is wrong is reported."""
    if KEY not in table:
        return None
    found = attempt(HEALTH, table[KEY], (*path, KEY), report)
    return None if found is NOTHING else found


def write_health(check: HealthCheck | None) -> Table:
    """The key of a service's table that says C{check}."""
    # with its kind: a table without keys would say nothing to whoever reads it
    return {} if check is None else {KEY: {"kind": check.kind, **HEALTH.written(check)}}
