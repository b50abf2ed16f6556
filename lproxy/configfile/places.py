# -*- test-case-name: tests.configfile.test_places -*-
"""
Endpoints of services: an address, or a table such as C{{ address = "10.0.0.7:8080", weight = 3, zone = "eu-1" }}.
"""

from __future__ import annotations

from typing import Any, Final

from lproxy.balancing import Place
from lproxy.configfile.address import endpoint_address
from lproxy.configfile.problem import Path, Report, Wrong, did_you_mean, show, spell
from lproxy.configfile.units import read_count, type_name

EXAMPLE: Final = 'write an address such as "127.0.0.1:8081", or { address = "127.0.0.1:8081", weight = 3 }'
KEYS: Final = ("address", "weight", "zone")
#: so that the least part of all is still some requests
MAX_WEIGHT: Final = 1_000


def read_place(value: object) -> str | Place:
    """
    An endpoint; its address alone where there is no more to say.

    @raise Wrong: it is none
    """
    if isinstance(value, str):
        return endpoint_address(value)
    if not isinstance(value, dict):
        raise Wrong(f"must be a string or a table, not {type_name(value)}", EXAMPLE)
    for key in value:
        if key not in KEYS:
            right = did_you_mean(key, KEYS) or f"keys are {', '.join(KEYS)}"
            raise Wrong(f"{show(key)} is no key of an endpoint", right)
    address, zone = (_text(key, value.get(key, "")) for key in ("address", "zone"))
    if not address:
        raise Wrong("address is missing", EXAMPLE)
    try:
        weight = read_count(value.get("weight", 1))
    except Wrong as error:
        right = "leave the endpoint out, if it is to get nothing" if value["weight"] == 0 else error.right
        raise Wrong(f"weight {error.wrong}", right) from error
    if weight > MAX_WEIGHT:
        raise Wrong(f"weight {weight} is more than {MAX_WEIGHT}", "divide all weights by the same number")
    address = endpoint_address(address)
    return Place(address, weight, zone) if zone or weight != 1 else address


def write_place(place: str | Place) -> str | dict[str, Any]:
    """C{place} as a file would have it."""
    if isinstance(place, str):
        return place
    table: dict[str, Any] = {"address": place.address, "weight": place.weight}
    return {**table, "zone": place.zone} if place.zone else table


def check_places(places: tuple[str | Place, ...], path: Path, report: Report) -> None:
    """Report an address that is there twice, with another weight or zone."""
    seen: dict[str, Path] = {}
    for index, place in enumerate(places):
        address = place if isinstance(place, str) else place.address
        here = (*path, index)
        if (before := seen.setdefault(address, here)) != here:
            report.error(here, f"{show(address)} is given twice", f"{spell(before)} is the same endpoint")


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise Wrong(f"{key} must be a string, not {type_name(value)}", "write it in double quotes")
    if not value.isprintable():
        raise Wrong(f"{key} {show(value)} has control characters in it")
    return value
