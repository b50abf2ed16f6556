# -*- test-case-name: tests.terminal.test_line -*-
"""
A row of C{/tap} as a line for people.
"""

from __future__ import annotations

from typing import Any, Final

from lproxy.terminal.text import clean
from lproxy.terminal.top import BAD, DIM, DOUBT, GOOD, Paint

#: colours of statuses, by their hundreds
STATUSES: Final = {1: GOOD, 2: GOOD, 3: GOOD, 4: DOUBT, 5: BAD, 0: BAD}


def line(row: dict[str, Any], clock: str, paint: Paint) -> str:
    """
    What happened, to whom, and how long that took.

    @param clock: what time it is
    """
    where = f"{row.get('listener')}/{row['worker']}" if "worker" in row else str(row.get("listener"))
    said = [clock, where, _what(row, paint)]
    took = row.get("seconds")
    if isinstance(took, (int, float)):
        said.append(f"{took * 1000:.1f} ms{_waited(row)}")
    said.append(f"{row.get('bytes_in', 0)} in, {row.get('bytes_out', 0)} out")
    whose = row.get("remote_identity") or row.get("client")
    said.append(f"{whose} -> {row.get('target') or '-'} at {row.get('upstream') or '-'}")
    said += [f"{key} {row[key]}" for key in ("route", "request_id", "trace_id") if row.get(key)]
    if (tries := row.get("tries")) not in (None, 0, 1):
        said.append(f"{tries} tries")
    text = clean("  ".join(said[:2])) + "  " + said[2] + "  " + clean("  ".join(said[3:]))
    if row.get("flags"):
        text += "  " + paint(clean(row["flags"]), BAD)
    if row.get("dropped"):
        text = paint(f"... {row['dropped']} more, too many to be shown ...", DIM) + "\n" + text
    return text


def _what(row: dict[str, Any], paint: Paint) -> str:
    if row.get("kind") != "request":
        return clean(row.get("protocol") or "connection")
    status = row.get("status") or 0
    called = f"{row.get('method')} {row.get('authority')}{row.get('path')}"
    grpc = f" grpc {row['grpc_status']}" if row.get("grpc_status") is not None else ""
    return f"{clean(called)} {paint(f'{status}{grpc}', STATUSES.get(int(status) // 100, ''))}"


def _waited(row: dict[str, Any]) -> str:
    """How much of it was spent in waiting for a service, where that is worth a word."""
    waited = row.get("acquire_seconds")
    return f" ({waited * 1000:.1f} waiting)" if isinstance(waited, (int, float)) and waited >= 0.0001 else ""
