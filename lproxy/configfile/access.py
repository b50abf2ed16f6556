# -*- test-case-name: tests.configfile.test_access -*-
"""
C{[access_log]}: whether its formats are such.
"""

from __future__ import annotations

from lproxy.config import AccessLog
from lproxy.configfile.problem import Report, did_you_mean, show
from lproxy.logformat import FIELDS, JSON, PRESETS, BadFormat, Text


def check_access_log(log: AccessLog, report: Report) -> None:
    """Each format is one that there is, or a text of fields that there are."""
    if log.format != JSON and log.format not in PRESETS:
        _check("format", log.format, report)
    if log.connections:
        _check("connections", log.connections, report)
        if not log.path:
            report.warning(("access_log", "connections"), "is unused: there is no access log", 'write path = "FILE"')


def _check(key: str, text: str, report: Report) -> None:
    path = ("access_log", key)
    if "{" not in text:
        names = (JSON, *PRESETS) if key == "format" else ()
        right = did_you_mean(text, names) or (
            f'write {", ".join(names)}{" or " if names else ""}a text with fields, such as "{{client}} {{seconds}}"'
        )
        report.error(path, f"{show(text)} is no format", right)
        return
    try:
        Text(text)
    except BadFormat as bad:
        report.error(path, bad.wrong, did_you_mean(bad.name, FIELDS) or bad.right)
