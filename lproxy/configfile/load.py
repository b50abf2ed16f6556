# -*- test-case-name: tests.configfile.test_load -*-
"""
From a file's text to a checked L{Config}, or to everything that is wrong with it.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from lproxy.config import DEFAULT_LISTEN, INBOUND, Admin, Config, Direction, Listen, Service, Timeouts
from lproxy.configfile.access import check_access_log
from lproxy.configfile.address import refuse_unix
from lproxy.configfile.admin import check_admin, check_key_log
from lproxy.configfile.collector import uncollected
from lproxy.configfile.health import KEY as HEALTH_KEY
from lproxy.configfile.kinds import settings
from lproxy.configfile.lines import BLANK, Lines
from lproxy.configfile.listeners import (
    check_addresses,
    check_further_ports,
    check_loops,
    read_listeners,
    spoken,
    used_protocols,
)
from lproxy.configfile.plugins import Configure, Plugins
from lproxy.configfile.problem import Problem, Report
from lproxy.configfile.profile.clocks import check_clocks
from lproxy.configfile.profile.keys import ROUTE, SERVICE
from lproxy.configfile.profile.read import ROUTE_HEADER, ROUTES
from lproxy.configfile.proxied import check_proxied
from lproxy.configfile.relations import check_parts, check_relations
from lproxy.configfile.secure import check_secure
from lproxy.configfile.services import SERVICE_HEADER, read_services
from lproxy.configfile.syntax import parse
from lproxy.configfile.table import Table, as_table, is_table, read_setting, read_table, unknown
from lproxy.configfile.tracing import check_tracing

#: what messages call the keys before the first table
TOP = "the top of the file, before its first table"

#: no configuration is longer; a log or a device given by mistake is
MAX_FILE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of reading a file."""

    #: None where there is any error
    config: Config | None
    #: in the order of the file
    problems: tuple[Problem, ...]
    #: whether nothing stands in it: the defaults run
    blank: bool = False


def contents(path: str) -> bytes:
    """What stands at C{path}, and no more than tells that it is too long; raises OSError or ValueError."""
    with open(path, "rb") as file:
        return file.read(MAX_FILE + 1)


def load_file(path: str, plugins: Mapping[str, Configure], read: Callable[[str], bytes] = contents) -> Loaded:
    """
    L{load} the file at C{path}; one that cannot be read is a problem, too.

    @param read: as L{contents}
    """
    try:
        return load_stream(io.BytesIO(read(path)), path, plugins)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        why = getattr(error, "strerror", None) or error
        return Loaded(None, (Problem("error", path, None, "", f"cannot be read: {why}"),))


def load_stream(file: IO[bytes], path: str, plugins: Mapping[str, Configure]) -> Loaded:
    """L{load} what C{file} has to read; raises what reading it does."""
    report = Report(path)
    content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        report.error((), f"is longer than {MAX_FILE} bytes", "is this the right file?")
        return Loaded(None, report.in_order())
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"not UTF-8: byte 0x{content[error.start]:02x}"
        return Loaded(None, (Problem("error", path, line, "", wrong, "save the file as UTF-8"),))
    loaded = load(text, path, plugins)
    if loaded.config is not None and BLANK.fullmatch(text.removeprefix("\ufeff")):
        listeners = " and ".join(f"{one.name} on {one.address}" for one in DEFAULT_LISTEN)
        empty = Problem(
            "warning", path, None, "", f"is empty: the default listeners run, {listeners}", "is this the right file?"
        )
        return Loaded(loaded.config, (*loaded.problems, empty), blank=True)
    return loaded


def load(text: str, name: str, plugins: Mapping[str, Configure]) -> Loaded:
    """
    The configuration that C{text} describes.

    Never raises for what stands in the text; all problems are found in one pass.

    @param text: TOML; editors' byte order mark is ignored
    @param name: the file's name, for problems
    @param plugins: by name, what checks each plugin's table
    """
    text = text.removeprefix("\ufeff")
    with uncollected():
        top = parse(text, name)
        if isinstance(top, Problem):
            return Loaded(None, (top,))
        report = Report(name, Lines(text))
        config = build(top, report, plugins)
        return Loaded(None if report.failed() else config, report.in_order())


def build(top: Table, report: Report, configure: Mapping[str, Configure]) -> Config:
    """The configuration of the whole file; only worth having if nothing was reported as an error."""
    plugins = Plugins(configure, report)
    plugins.read(top)
    sections = plain_sections()
    elsewhere = places()
    known = {*sections, "listen", "services", "timeouts", *plugins.names()}
    own = settings(Config)
    values: dict[str, Any] = {}
    for key, value in top.items():
        if key in own:
            values.update(read_setting(own[key], value, (key,), report, None))
        elif key not in known:
            noun = "table" if is_table(value) else "key"
            unknown(key, (key,), report, known if noun == "table" else {*known, *own}, elsewhere, noun)
    for name, kind in sections.items():
        table = as_table(top.get(name, {}), (name,), report, f"[{name}]")
        checks = {"address": refuse_unix} if kind is Admin else None
        values[name] = kind(**read_table(kind, table, (name,), report, checks=checks, elsewhere=elsewhere))
    values.update(read_timeouts(top, report, elsewhere))
    services = as_table(top.get("services", {}), ("services",), report, SERVICE_HEADER)
    if "listen" in top:
        listeners = read_listeners(top["listen"], report, plugins, services, elsewhere)
    else:
        listeners = tuple(dataclasses.replace(one, plugins=plugins.listener({}, ())) for one in DEFAULT_LISTEN)
        for index, one in enumerate(listeners):
            plugins.check(one, spoken(one), ("listen", index))
    admin: Admin = values["admin"]
    bound = check_addresses(admin, listeners, report)
    check_further_ports(listeners, bound, report)
    check_loops(listeners, bound, report)
    profiled = bool(values["profiles"].files)
    values["services"] = read_services(services, report, listeners, bound, elsewhere, profiled)
    used = used_protocols(listeners)
    for name in plugins.tables:
        if name not in used:
            report.warning((name,), f"is unused: no listener speaks {name}", f'add "{name}" to the detect of one')
    config = Config(**values, listen=listeners)
    check_relations(config, top, report)
    check_parts(config, report)
    check_clocks(config, report)
    check_secure(config, top, report)
    check_proxied(config, report)
    check_admin(config.admin, report)
    check_key_log(config.key_log, report)
    check_access_log(config.access_log, report)
    check_tracing(config.tracing, report)
    return config


def read_timeouts(top: Table, report: Report, elsewhere: Mapping[str, str]) -> dict[str, Timeouts]:
    """Each direction's timeouts: its own table overrides the common one, which overrides its defaults."""
    directions: tuple[Direction, ...] = typing.get_args(Direction)
    table = as_table(top.get("timeouts", {}), ("timeouts",), report, "[timeouts]")
    both = read_table(Timeouts, table, ("timeouts",), report, directions, elsewhere=elsewhere)
    result: dict[str, Timeouts] = {}
    for direction in directions:
        path = ("timeouts", direction)
        one = as_table(table.get(direction, {}), path, report, f"[timeouts.{direction}]")
        defaults = INBOUND if direction == "inbound" else {}
        result[direction] = Timeouts(
            **{**defaults, **both, **read_table(Timeouts, one, path, report, elsewhere=elsewhere)}
        )
    return result


@functools.cache
def plain_sections() -> dict[str, type]:
    """The tables that are one dataclass each: those of L{Config} without rules of their own."""
    hints = typing.get_type_hints(Config)
    plain = {name: kind for name, kind in hints.items() if isinstance(kind, type) and kind is not Timeouts}
    return {name: kind for name, kind in plain.items() if dataclasses.is_dataclass(kind)}


@functools.cache
def places() -> dict[str, str]:
    """For every key, the tables it may stand in, for whoever has put it elsewhere."""
    tables: dict[str, type] = {TOP: Config, **{f"[{name}]": kind for name, kind in plain_sections().items()}}
    tables |= {"[[listen]]": Listen, SERVICE_HEADER: Service, "[timeouts]": Timeouts}
    found: dict[str, list[str]] = {}
    keys = {header: tuple(settings(kind)) for header, kind in tables.items()}
    keys[SERVICE_HEADER] += (*(key.key for key in SERVICE.keys), ROUTES, HEALTH_KEY)
    keys[ROUTE_HEADER] = tuple(key.key for key in ROUTE.keys)
    for header, names in keys.items():
        for key in names:
            found.setdefault(key, []).append(header)
    return {key: " or ".join(headers) for key, headers in found.items()}
