# -*- test-case-name: tests.test_setting -*-
"""
How settings are written down: fields of frozen values, with what they are for and how they are measured.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

#: as many workers as there are cores
AUTO = 0


def setting(default: Any, help: str, unit: str = "", required: bool = False) -> Any:
    """
    A field with its C{help} and C{unit}, for checks and docs.

    @param unit: C{duration}, C{size}, C{address} (host:port to connect to), C{resolver} (that of a DNS server),
        C{listen} (IP:port or endpoint string to listen on), C{network} (IP or IP/bits), C{word} (fit for a metric
        label), C{file} (path of a file with certificates or keys), C{identity} (who somebody is, as a certificate says
        it), C{pattern} (of identities), C{workers} (a count, or L{AUTO}), C{part} (of a whole: more than 0, at most 1),
        C{part or 0}, C{count or 0}, C{table} (the table's own name, no key in it), or none. What ends with C{or unset}
        is not given where it is not wanted, and is never C{none}
    @param required: whether a file must give it, and not empty
    """
    return field(default=default, metadata={"help": help, "unit": unit, "required": required})
