# -*- test-case-name: tests.app.test_restart -*-
"""
How the lproxy that runs is started again: as a worker, or to take its own place.

C{twistd} has done its work by then: a daemon stays one, the user is another. So what is started again stays in the
foreground and has no pidfile, and it writes its log to where the log goes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from twisted.logger import jsonFileLogObserver

from lproxy.supervise.log import OWN, TWIST

#: of twistd's own program, wherever that is
TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
#: the logger of C{lproxy run --json}
JSON = "lproxy.app.log.json_lines"


class Again(NamedTuple):
    """
    @ivar command: starts it
    @ivar log: the file that it logs to; empty: its standard output
    @ivar json: the way in which its log is lines of JSON; empty: it is text
    @ivar syslog: what syslog calls it; C{None}: it does not log there
    @ivar pidfile: of the process that runs
    """

    command: list[str]
    log: str = ""
    json: str = ""
    syslog: str | None = None
    pidfile: str = ""


def again(parent: Mapping[str, Any] | None, own: Sequence[str], executable: str, argv: Sequence[str]) -> Again:
    """
    @param parent: the options of twistd, or of twist
    @param own: those of lproxy
    @param executable: Python
    @param argv: how this process was started, Python's own arguments included
    """
    if parent is None or "nodaemon" not in parent:
        # twist stays in the foreground
        lines = parent is not None and parent.get("fileLogObserverFactory") is jsonFileLogObserver
        return Again([executable, *argv[1:]], json=TWIST if lines else "")
    command = [executable, "-c", TWISTD, "--nodaemon", "--pidfile="]
    if parent.get("reactor"):
        command.append(f"--reactor={parent['reactor']}")
    # twistd has made of the name what it names
    logger = parent.get("logger")
    name = f"{logger.__module__}.{logger.__qualname__}" if logger else ""
    if name:
        command.append(f"--logger={name}")
    syslog = parent.get("prefix", "twisted") if parent.get("syslog") else None
    if syslog is not None:
        command += ["--syslog", f"--prefix={syslog}"]
    logfile = parent.get("logfile") or ("" if parent["nodaemon"] else "twistd.log")
    log = os.path.abspath(logfile) if logfile not in ("", "-") and syslog is None else ""
    pidfile = os.path.abspath(parent["pidfile"]) if parent.get("pidfile") else ""
    return Again([*command, "lproxy", *own], log, OWN if name == JSON else "", syslog, pidfile)
