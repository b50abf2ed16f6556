# -*- test-case-name: tests.configfile.test_kinds -*-
"""
The kinds of values that settings have: how each is read, written and named in the docs.

Found from a field's type and C{unit}, so that a new setting in L{lproxy.config} needs nothing here.
"""

from __future__ import annotations

import functools
import math
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from lproxy.balancing import Place
from lproxy.config import AUTO
from lproxy.configfile.address import endpoint_address, listen_address, network_address, resolver_address
from lproxy.configfile.names import identity_name, identity_pattern
from lproxy.configfile.places import read_place, write_place
from lproxy.configfile.problem import Wrong, any_of, did_you_mean, show
from lproxy.configfile.rates import read_rate, write_rate
from lproxy.configfile.units import read_count, read_duration, read_size, type_name, write_duration, write_size
from lproxy.profile import Rate

#: what is written for "none" elsewhere
OFF = frozenset({"off", "never", "no", "disabled", "unlimited", "infinite", "infinity", "0", "0s", "0ms", "-1", ""})

#: what begins each part of such a file
PEM = "-----BEGIN "

#: descriptors of one message between processes, with room to spare; and more cores than machines have
MOST_WORKERS = 128

WORD = re.compile(r"[A-Za-z0-9_.-]+")


def as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value."""

    #: what the docs call it
    name: str
    #: from what C{tomllib} gives; raises L{Wrong}
    read: Callable[[Any], Any]
    #: to what JSON and TOML both can say; None is left out
    write: Callable[[Any], Any] = as_it_is
    #: an array of such values, each read alone
    many: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of one table."""

    key: str
    kind: Kind
    default: Any
    help: str
    required: bool


@functools.cache
def settings(table: type) -> dict[str, Setting]:
    """The settings of the table that the dataclass C{table} describes."""
    hints = typing.get_type_hints(table)
    return {
        field.name: Setting(
            field.name,
            kind_of(hints[field.name], field.metadata["unit"]),
            field.default,
            field.metadata["help"],
            field.metadata["required"],
        )
        for field in fields(table)
        # other fields are no keys: what the loader makes of the file, and a table's own name
        if field.metadata and field.metadata["unit"] != "table"
    }


def kind_of(hint: Any, unit: str) -> Kind:
    """
    The kind of a field annotated C{hint}.

    @raise TypeError: the annotation is one that no kind is known for
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if (hint, unit) in KINDS:
        return KINDS[hint, unit]
    if origin is Literal:
        return Kind(any_of(arguments), functools.partial(read_choice, choices=arguments))
    if origin is tuple:
        one = kind_of(arguments[0], unit)
        return replace(one, name=f"array of {one.name}{'s' if one.name.isalpha() else ''}", many=True)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return optional(kind_of(inner, unit), has_none=inner is float and not unit.endswith("or unset"))
    try:
        return KINDS[hint, unit]
    except KeyError:
        raise TypeError(f"no kind of setting is a {hint} with the unit {unit!r}") from None


def optional(kind: Kind, has_none: bool) -> Kind:
    """C{kind} or None, which a file says by C{"none"} where it C{has_none}, and else by leaving the key out."""
    if not has_none:
        return replace(kind, write=lambda value: None if value is None else kind.write(value))

    def read(value: Any) -> Any:
        if value == "none":
            return None
        if value == 0 or (isinstance(value, str) and value.lower() in OFF):
            raise Wrong(f"{show(value)} is no {kind.name}", 'write "none" to turn it off')
        return kind.read(value)

    return Kind(
        f'{kind.name}, or "none"',
        read,
        lambda value: "none" if value is None else kind.write(value),
    )


def read_choice(value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        near = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise Wrong(f"must be {any_of(choices)}, not {show(value)}", near)
    return str(value)


def read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"must be a boolean, not {type_name(value)}", "write true or false, without quotes")
    return value


def read_text(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong(f"must be a string, not {type_name(value)}", "write it in double quotes")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise Wrong(f"{show(value)} has control characters in it")
    return value


def read_file(value: object) -> str:
    if isinstance(value, str) and PEM in value:
        # nothing of it is shown: it may be a key
        raise Wrong(
            "is PEM itself, and not a file that has it", 'write the path of the file, such as "/etc/lproxy/tls.pem"'
        )
    return read_text(value)


def read_word(value: object) -> str:
    text = read_text(value)
    if text and not WORD.fullmatch(text):
        raise Wrong(f"{show(text)} has other characters than letters, digits, _, . and -", 'write a name such as "web"')
    return text


def read_number(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise Wrong(f"must be a number, not {type_name(value)}", "write a number such as 0.5")
    if not 0 < value < math.inf:  # not a number fails this too
        raise Wrong(f"{show(value)} is not more than zero and finite", "write a number such as 0.5")
    if value >= 2**63:
        raise Wrong("is beyond 64 bits", "write a number such as 0.5")
    return float(value)


def read_part(value: object) -> float:
    number = read_number(value)
    if number > 1.0:
        raise Wrong(f"{show(value)} is more than the whole", "write a number such as 0.5")
    return number


def read_part_or_0(value: object) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else read_part(value)


def read_count_or_0(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else read_count(value)


def read_workers(value: object) -> int:
    if value == "auto":
        return AUTO
    if value == AUTO and not isinstance(value, bool):
        raise Wrong("0 workers serve nobody", 'write how many there are to be, or "auto"')
    count = read_count(value)
    if count > MOST_WORKERS:
        raise Wrong(f"{count} workers are more than {MOST_WORKERS}", 'write how many cores it is to use, or "auto"')
    return count


KINDS: dict[tuple[Any, str], Kind] = {
    (str, ""): Kind("string", read_text),
    (str, "file"): Kind("path", read_file),
    (str, "word"): Kind("name", read_word),
    (str, "listen"): Kind("IP:port or endpoint string", lambda value: listen_address(read_text(value))),
    (str, "address"): Kind("host:port", lambda value: endpoint_address(read_text(value))),
    (str, "resolver"): Kind("IP:port", lambda value: resolver_address(read_text(value))),
    (str, "network"): Kind("IP or IP/bits", lambda value: network_address(read_text(value))),
    (str, "identity"): Kind("DNS name or SPIFFE ID", lambda value: identity_name(read_text(value))),
    (str, "pattern"): Kind("pattern", lambda value: identity_pattern(read_text(value))),
    (bool, ""): Kind("boolean", read_bool),
    (int, ""): Kind("count", read_count),
    (int, "size"): Kind("size", read_size, write_size),
    (int, "count or 0"): Kind("count, or 0", read_count_or_0),
    (int, "workers"): Kind('count or "auto"', read_workers, lambda workers: workers or "auto"),
    (float, ""): Kind("number", read_number),
    (float, "part"): Kind("part of 1", read_part),
    (float, "part or 0"): Kind("part of 1, or 0", read_part_or_0),
    (float, "part or unset"): Kind("part of 1", read_part),
    (float, "duration or unset"): Kind("duration", read_duration, write_duration),
    (str | Place, "address"): Kind("host:port, or table", read_place, write_place),
    (Rate, ""): Kind("rate", read_rate, write_rate),
    (float, "duration"): Kind("duration", read_duration, write_duration),
}
