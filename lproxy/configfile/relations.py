# -*- test-case-name: tests.configfile.test_relations -*-
"""
Settings that contradict each other.

Each relation names two settings of one table, the first not to exceed the second. What workers divide is to be enough
for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from lproxy.config import Config, Direction
from lproxy.configfile.kinds import settings
from lproxy.configfile.problem import Path, Report, Severity, show
from lproxy.configfile.table import Table


@dataclass(frozen=True, slots=True)
class Relation:
    """In C{table}, C{small} must not be more than C{large}."""

    table: str
    small: str
    large: str
    severity: Severity
    #: what a user would notice
    because: str


RELATIONS = (
    Relation("timeouts", "backoff_min", "backoff_max", "error", "the first delay would be past the longest"),
    Relation("timeouts", "connect", "acquire", "warning", "attempts to connect are cancelled before they time out"),
    Relation("timeouts", "server_first", "detect", "warning", "no server gets to speak first"),
    Relation("timeouts", "upstream_idle", "service_idle", "warning", "connections end with their service before"),
    Relation("timeouts", "response_headers", "stream", "warning", "the whole stream is ended before it"),
    Relation("dns", "ttl_min", "ttl_max", "error", "no answer could be kept"),
    Relation("limits", "request_line", "headers", "warning", "such a line would leave no room for headers"),
    Relation("limits", "headers", "buffer", "warning", "reading is paused before all headers have come"),
    Relation("limits", "h2_stream_window", "h2_connection_window", "warning", "one stream has no more than all may"),
    Relation("limits", "detect", "buffer", "warning", "reading is paused before detectors have seen that many bytes"),
)


#: limits that are divided between workers
PARTED = ("in_flight", "connections", "handshakes")


def check_relations(config: Config, top: Table, report: Report) -> None:
    """Report every relation that C{config}, read from C{top}, breaks."""
    for relation in RELATIONS:
        if relation.table != "timeouts":
            if breaks(relation, getattr(config, relation.table)):
                blame(relation, getattr(config, relation.table), [(relation.table,)], "", top, report)
            continue
        broken = [direction for direction in get_args(Direction) if breaks(relation, config.timeouts(direction))]
        values = {
            (getattr(config.timeouts(d), relation.small), getattr(config.timeouts(d), relation.large)) for d in broken
        }
        if len(broken) == len(get_args(Direction)) and len(values) == 1:
            # the same for both: said once
            blame(relation, config.outbound, [("timeouts",), *(("timeouts", d) for d in broken)], "", top, report)
            continue
        for direction in broken:
            where: list[Path] = [("timeouts", direction), ("timeouts",)]
            blame(relation, config.timeouts(direction), where, f" {direction}", top, report)


def check_parts(config: Config, report: Report) -> None:
    """Report limits of the whole proxy of which not every worker can have a part."""
    for key in PARTED:
        whole = getattr(config.limits, key)
        if whole < config.workers:
            wrong = f"{whole} is less than workers ({config.workers}), of which each has at least one"
            report.warning(("limits", key), wrong, "raise it, or have fewer workers")


def breaks(relation: Relation, values: Any) -> bool:
    small, large = getattr(values, relation.small), getattr(values, relation.large)
    return small is not None and large is not None and small > large


def blame(relation: Relation, values: Any, tables: list[Path], side: str, top: Table, report: Report) -> None:
    """Report it at the key that the file gives, the smaller one where it gives both."""
    given = [(*table, key) for table in tables for key in (relation.small, relation.large) if has(top, (*table, key))]
    if any(report.has_error(path) for path in given):
        return  # what is compared is not what the file says
    path = given[0] if given else (*tables[0], relation.small)
    kind: type = type(values)
    known = settings(kind)
    small, large = (
        f"{key} ({show(known[key].kind.write(getattr(values, key)))})" for key in (relation.small, relation.large)
    )
    wrong = f"{small} is more than {large}{side}: {relation.because}"
    add = report.error if relation.severity == "error" else report.warning
    add(path, wrong, "lower the one or raise the other")


def has(top: Table, path: Path) -> bool:
    value: Any = top
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True
