# -*- test-case-name: tests.configfile.test_own -*-
"""
For plugins: read a table of one's own as lproxy reads its tables, from a dataclass of L{lproxy.config.setting}s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lproxy.configfile.problem import Report
from lproxy.configfile.table import Check, Table, read_table


class Refused(ValueError):
    """
    Several things are wrong with a plugin's table.

    @ivar messages: each begins with its key
    """

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = tuple(messages)
        super().__init__("; ".join(self.messages))


def messages_of(error: ValueError) -> tuple[str, ...]:
    """What C{error} says, one by one."""
    return error.messages if isinstance(error, Refused) else (str(error),)


def read_own(kind: type, table: Table, checks: Mapping[str, Check] | None = None, also: Iterable[str] = ()) -> Any:
    """
    The keys of C{table} that are settings of the dataclass C{kind}, checked.

    @param checks: for some keys, what else their value (or each element of it) must be; they raise L{Wrong}
    @param also: further keys, which the caller reads
    @return: C{dict} of what is set
    @raise Refused: what is wrong, each beginning with its key, as C{configure} promises
    """
    report = Report("")
    values = read_table(kind, table, (), report, also, checks)
    if report.problems:
        raise Refused(
            f"{problem.key}: {problem.wrong}" + (f"; {problem.right}" if problem.right else "")
            for problem in report.problems
        )
    return values
