# -*- test-case-name: tests.benchmark.test_leaks -*-
"""
What a run must not leave behind: tracebacks and errors in lproxy's log, Deferreds whose failure nobody handled, file
descriptors that stay open.

The log is read in both of Twisted's forms, for into a file C{twist} writes JSON where C{twistd} writes lines: in JSON a
traceback is a list of frames, and nothing says "Traceback". Descriptors are counted before the first load and once all
is quiet again, which takes as long as lproxy keeps idle connections to upstreams.
"""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.process import ProcessFailed

#: descriptors that may have come to stay: a reactor's own pipe, which it opens just after it began to listen, a
#: resolver's socket, a file opened at first use
ALLOWED = 4
#: seconds until all is quiet: idle upstream connections are closed after timeouts.upstream_idle (3 s), by a sweep that
#: may just have been, and services after timeouts.service_idle; not waited for when the count is right before
SETTLE = 15.0
LOOK = 0.1
#: findings told, and lines of evidence for each
FINDINGS, LINES = 5, 12

#: a line of twistd's log: time, where it comes from, level
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\S+ \[(?P<source>[^\]#]*)(#(?P<level>\w+))?\] (?P<text>.*)$")
BAD_LEVELS = frozenset({"error", "critical"})
#: what Python and Twisted say of mistakes, wherever it stands; the first that fits names the finding
DEFER, DEFERRED, TRACEBACK = "twisted.internet.defer", "an unhandled error in a Deferred", "a traceback"
SIGNS = (
    ("Unhandled error in Deferred", DEFERRED),
    ("Unhandled Error", "an unhandled error"),
    ("exception was never retrieved", "an unhandled error in a task"),
    ("was never awaited", "a coroutine that nobody awaited"),
    ("Exception ignored in", "an exception where none can be raised"),
    ("Fatal Python error", "a crash"),
    ("ResourceWarning", "something left open"),
    ("Traceback (most recent call last)", TRACEBACK),
)


@dataclass(frozen=True)
class Finding:
    """Something that a run must not leave behind; C{evidence} are its first lines."""

    what: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {line}" for line in self.evidence)])


# the log


def in_log(log: str) -> list[Finding]:
    """What in lproxy's log shows a defect."""
    found: list[Finding] = []
    before = ""
    for entry in entries(log):
        finding = judge(entry)
        if finding is None:
            before = ""
            continue
        if before == entry.source == DEFER and found[-1].what.endswith(DEFERRED):
            # Twisted writes it as two events, of which the second has the traceback
            found[-1] = Finding(found[-1].what, found[-1].evidence + finding.evidence)
            before = ""
            continue
        found.append(finding)
        before = entry.source
    return found


@dataclass(frozen=True)
class Entry:
    """One event of the log, or lines that something else wrote."""

    level: str
    source: str
    lines: tuple[str, ...]
    raised: bool = False  #: it has an exception with it


def entries(log: str) -> Iterator[Entry]:
    """The events: of JSON each line is one; others go on until the next line with a time."""
    head: tuple[str, str] = "", ""
    lines: list[str] = []
    for line in log.split("\n"):  # not splitlines(), which knows the JSON's record separators too
        event = parsed(line)
        found = LINE.match(line)
        if event is None and found is None:
            lines.append(line)
            continue
        if lines:
            yield Entry(*head, tuple(lines))
        head, lines = ("", ""), []
        if event is not None:
            yield event
        elif found is not None:
            head, lines = (found["level"] or "", found["source"]), [line]
    if lines:
        yield Entry(*head, tuple(lines))


def parsed(line: str) -> Entry | None:
    """An event of a JSON log, which begins with a record separator; None for any other line."""
    line = line.lstrip("\x1e")
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or "log_format" not in event:
        return None
    level = (event.get("log_level") or {}).get("name", "")
    source = event.get("log_namespace", "")
    text = [f"[{source}#{level}] {formatted(event)}"]
    failure = event.get("log_failure")
    if failure:
        kind = failure.get("type") or {}
        text += [f"  {frame[1]}:{frame[2]} in {frame[0]}" for frame in failure.get("frames") or []]
        text.append(f"  {kind.get('__module__', '?')}.{kind.get('__name__', '?')}")
    return Entry(level, source, tuple(text), bool(failure))


def formatted(event: Mapping[str, Any]) -> str:
    """An event's text: what was flattened when it was written, or just its format."""
    text = str(event.get("log_format") or "")
    for key, value in (event.get("log_flattened") or {}).items():
        text = text.replace("{" + key.partition("!")[0].rstrip(":") + "}", str(value))
    return text


def judge(entry: Entry) -> Finding | None:
    """What an event shows, if anything."""
    whole = "\n".join(entry.lines)
    what = next((what for sign, what in SIGNS if sign in whole), "")
    if not what and entry.raised:
        what = TRACEBACK
    elif not what and entry.level in BAD_LEVELS:
        what = f"a line of level {entry.level}"
    if not what:
        return None
    own = "lproxy's log: " if entry.source.startswith("lproxy") else "log: "
    return Finding(own + what, shortened(entry.lines))


def shortened(lines: Sequence[str]) -> tuple[str, ...]:
    """The first lines, and the last, where an exception says what it is."""
    kept = [line.rstrip().expandtabs(2) for line in lines if line.strip()]
    return tuple(kept) if len(kept) <= LINES else (*kept[: LINES - 2], "  ...", kept[-1])


def complaints(log: str) -> str:
    """L{in_log} in words; empty when there is nothing to complain of."""
    found = in_log(log)
    words = [str(finding) for finding in found[:FINDINGS]]
    if len(found) > FINDINGS:
        words.append(f"and {len(found) - FINDINGS} more")
    return "\n".join(words)


# descriptors

#: what a descriptor is -> how many of them there are
Descriptors = Mapping[str, int]
STATES = {"01": "established", "06": "time-wait", "07": "close", "08": "close-wait", "0A": "listening"}


def descriptors(pid: int, proc: Path = Path("/proc")) -> Counter[str]:
    """The open descriptors of process C{pid}: TCP sockets by state and the port that tells whose they are."""
    sockets = {}
    for name in ("tcp", "tcp6"):
        table = proc / str(pid) / "net" / name
        if table.exists():
            sockets.update(tcp_sockets(table.read_text()))
    found: Counter[str] = Counter()
    try:
        names = os.listdir(proc / str(pid) / "fd")
    except OSError as error:
        raise ProcessFailed(f"cannot look at the descriptors of process {pid}: {error.strerror}") from error
    for name in names:
        try:
            target = os.readlink(proc / str(pid) / "fd" / name)
        except OSError:
            continue  # closed meanwhile
        kind, _, inode = target.partition(":")
        if kind == "socket":
            found[sockets.get(inode.strip("[]"), "socket, not TCP or not connected")] += 1
        elif kind in ("pipe", "anon_inode"):
            found[target if kind == "anon_inode" else "pipe"] += 1
        else:
            found[f"file {target}"] += 1
    return found


def tcp_sockets(table: str) -> dict[str, str]:
    """
    What each socket's inode is, from the kernel's table.

    Of the two ports the lower one is named: it is the one that somebody listens on.
    """
    found = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        state = STATES.get(fields[3], f"state {fields[3]}")
        port = min(local, remote) if remote else local
        found[fields[9]] = f"TCP {state}, port {port}"
    return found


def grown(before: Descriptors, after: Descriptors, allowed: int = ALLOWED) -> Finding | None:
    """A finding when there are over C{allowed} more than before; the evidence is what there is more of."""
    more = sum(after.values()) - sum(before.values())
    if more <= allowed:
        return None
    kinds = sorted(((after[kind] - before.get(kind, 0), kind) for kind in after), reverse=True)
    return Finding(
        f"{more} descriptors more than before the load ({sum(before.values())} then; {allowed} more are allowed)",
        tuple(f"+{count}  {kind}" for count, kind in kinds if count > 0)[:LINES],
    )


def settled(
    before: Descriptors,
    look: Callable[[], Descriptors],
    allowed: int = ALLOWED,
    seconds: float = SETTLE,
    sleep: Callable[[float], object] = time.sleep,
) -> Finding | None:
    """None as soon as no more are open than are allowed; after C{seconds} what is still too much."""
    waited = 0.0
    while (finding := grown(before, look(), allowed)) is not None and waited < seconds:
        sleep(LOOK)
        waited += LOOK
    return finding


@contextmanager
def watched(pid: int | None, allowed: int = ALLOWED, seconds: float = SETTLE) -> Iterator[None]:
    """
    Everything that loads process C{pid} stands in this block; after it, fails when its descriptors have grown.

    @param pid: None: nothing is watched
    @param allowed: for a Kafka gateway, the listeners that it opens for its brokers on top of L{ALLOWED}
    """
    if pid is None:
        yield
        return
    before = descriptors(pid)
    yield
    if finding := settled(before, lambda: descriptors(pid), allowed, seconds):
        raise ProcessFailed(f"{finding.what}, {seconds:g} s after it:\n" + "\n".join(finding.evidence))
