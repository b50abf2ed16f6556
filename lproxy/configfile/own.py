# -*- test-case-name: tests.test_configfile -*-
"""
For plugins: read a table of one's own as lproxy reads its tables, from a dataclass of L{lproxy.config.setting}s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .problem import Report
from .table import Check, Table, read_table


def read_own(kind: type, table: Table, checks: Mapping[str, Check] | None = None, also: Iterable[str] = ()) -> Any:
    """
    The keys of C{table} that are settings of the dataclass C{kind}, checked.

    @param checks: for some keys, what else their value (or each element of it) must be; they raise L{Wrong}
    @param also: further keys, which the caller reads
    @return: C{dict} of what is set
    @raise ValueError: what is wrong with the first key that is, beginning with it, as C{configure} promises
    """
    report = Report("")
    values = read_table(kind, table, (), report, also, checks)
    for problem in report.problems:
        right = f"; {problem.right}" if problem.right else ""
        raise ValueError(f"{problem.key}: {problem.wrong}{right}")
    return values
