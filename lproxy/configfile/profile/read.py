# -*- test-case-name: tests.configfile.profile.test_read -*-
"""
The profile in a service's table: its own keys, and C{[services."NAME".routes.ROUTE]} in the order of the file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from lproxy.configfile.problem import Path, Report, show
from lproxy.configfile.profile.keys import ROUTE, SERVICE
from lproxy.configfile.profile.shape import NOTHING, attempt
from lproxy.configfile.table import Table, is_table
from lproxy.configfile.units import type_name
from lproxy.profile import ALWAYS, Profile, Route, shared

#: the table of a service's routes
ROUTES: Final = "routes"
#: all keys of a service's table that are its profile's
KEYS: Final = frozenset({ROUTES, *(key.key for key in SERVICE.keys)})

ROUTE_HEADER: Final = '[services."NAME".routes.ROUTE]'
#: routes of one service: more than anybody writes, and still matched in milliseconds
MAX_ROUTES: Final = 10_000
#: characters of a route's name, which is a label of metrics: more than the longest paths that names are made of
MAX_NAME: Final = 1_000


def read_profile(table: Table, path: Path, report: Report) -> Profile | None:
    """
    The profile that the service's C{table} has among other keys; C{None} where it has none.

    What is wrong is reported; what is returned is only worth having if nothing was.
    """
    own = {key: value for key, value in table.items() if key in KEYS}
    if not own:
        return None
    routes = own.pop(ROUTES, {})
    values = SERVICE.values(own, path, report)
    if "opaque_ports" in values:
        values["opaque_ports"] = frozenset(values["opaque_ports"])
    return Profile(**values, routes=read_routes(routes, (*path, ROUTES), report))


def read_routes(table: Any, path: Path, report: Report) -> tuple[Route, ...]:
    """Each route, by its name."""
    if not isinstance(table, dict):
        wrong = "must be one table for each route" if is_table(table) else f"must be a table, not {type_name(table)}"
        report.error(path, wrong, f"write {ROUTE_HEADER}")
        return ()
    if len(table) > MAX_ROUTES:
        report.error(path, f"are {len(table)} routes, and {MAX_ROUTES} are the most")
        return ()
    routes: list[Route] = []
    everything = ""
    for name, value in table.items():
        here = (*path, name)
        if everything:
            wrong = f"is never asked: {show(everything)}, which is before it, has every request"
            report.warning(here, wrong, "put it further up, or give the other a match")
        if wrong := refuse_name(name):
            report.error(here, wrong)
        if (values := attempt(ROUTE, value, here, report)) is not NOTHING:
            routes.append(shared(replace(values, name=name)))
            if values.condition == ALWAYS:
                everything = name
    return tuple(routes)


def refuse_name(name: str) -> str:
    """Why no route, and nothing that has routes, can have that name."""
    if not name.strip():
        return "a name is needed"
    if len(name) > MAX_NAME:
        return f"is a name of more than {MAX_NAME} characters"
    return "" if name.isprintable() else f"{show(name)} has control characters in it"


def write_profile(profile: Profile | None) -> Table:
    """The keys of a service's table that say C{profile}."""
    if profile is None:
        return {}
    table = SERVICE.written(profile)
    if "opaque_ports" in table:
        table["opaque_ports"] = sorted(table["opaque_ports"])
    if profile.routes:
        table[ROUTES] = {route.name: ROUTE.written(route) for route in profile.routes}
    return table
