# -*- test-case-name: tests.protocols.http.test_detect -*-
"""
Does a connection open with an HTTP request?

Decided as early as it is certain: a registered method and what only HTTP has behind it. A request line that is
HTTP but wrong (blanks doubled, no version) is HTTP: it has to be refused with an answer, never forwarded as bytes.
Extension methods, in capitals, need the line as far as its version. No text that cannot become one is waited for, as
its sender may be waiting too. The HTTP/2 preface is told apart by its variant.
"""

from __future__ import annotations

import re

from lproxy.verdict import Match, NeedMore, NoMatch, Verdict

#: RFC 9113, 3.4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP1 = Match("HTTP/1")
HTTP2 = Match("HTTP/2")

#: the registered methods that are in use (RFC 9110, 5789, 4918, 3253, 3744, 5323, 4791)
METHODS = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK "
    b"VERSION-CONTROL REPORT CHECKOUT CHECKIN UNCHECKOUT MKWORKSPACE UPDATE LABEL MERGE BASELINE-CONTROL MKACTIVITY "
    b"ACL SEARCH BIND REBIND UNBIND MKCALENDAR LINK UNLINK PURGE QUERY".split()
)
#: of registered methods, as far as they are spelt in another case
PREFIXES = frozenset(method[:n] for method in METHODS for n in range(1, len(method) + 1))
#: no method is longer than what is waited for
METHOD = re.compile(rb"[0-9A-Za-z_\-]{1,32}")
EXTENSION = re.compile(rb"[A-Z][0-9A-Z_\-]*")
BLANKS = re.compile(rb"[ \t]+")
#: what may follow the blanks of a registered method, where it is not a path
SCHEMES = (b"http://", b"https://")
#: CONNECT's host, and then a port: NATS says CONNECT and an opening brace
AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]*):[0-9]")
PART_OF_AUTHORITY = re.compile(rb"\[?[0-9A-Za-z.:\-]*\]?:?")
#: the end of a request line
VERSION = re.compile(rb"HTTP/[0-9](?:\.[0-9])?")


def detect(prefix: bytes) -> Verdict:
    """Judge C{prefix}, everything the client has sent so far, perhaps nothing."""
    # an empty line before a request is allowed (RFC 9112, 2.2)
    start = 0
    if prefix.startswith(b"\r\n"):
        start = 2
    rest = prefix[start:]
    if not rest or prefix == b"\r":
        return NeedMore(len(prefix) + 1, doubtful=bool(prefix))
    if PREFACE.startswith(rest[: len(PREFACE)]):
        return HTTP2 if len(rest) >= len(PREFACE) else NeedMore(len(prefix) + 1)
    match = METHOD.match(rest)
    if match is None:
        return NoMatch()
    method = match[0]
    if not EXTENSION.fullmatch(method) and method.upper() not in PREFIXES:
        return NoMatch()
    after = rest[len(method) :]
    if not after:
        return NeedMore(len(prefix) + 1, doubtful=method not in PREFIXES)
    blanks = BLANKS.match(after)
    if blanks is None:
        return NoMatch()  # another character, or a word too long to be a method
    target = after[blanks.end() :]
    if method not in METHODS:
        return _whole_line(prefix, after)
    if not target:
        return NeedMore(len(prefix) + 1)
    if method == b"CONNECT":
        if AUTHORITY.match(target):
            return HTTP1
        if PART_OF_AUTHORITY.fullmatch(target):
            return NeedMore(len(prefix) + 1)
        return _whole_line(prefix, after)
    if target.startswith(b"/"):
        return HTTP1
    low = target[:8].lower()
    if low.startswith(SCHEMES):
        return HTTP1
    if any(scheme.startswith(low) for scheme in SCHEMES):
        return NeedMore(len(prefix) + 1)
    return _whole_line(prefix, after)


def _whole_line(prefix: bytes, after_method: bytes) -> Verdict:
    """Only the version at its end tells."""
    line, newline, _ = after_method.partition(b"\n")
    words = line.removesuffix(b"\r").split()
    if b"\0" in line or len(words) > 2:
        return NoMatch()
    if newline:
        return HTTP1 if len(words) == 2 and VERSION.fullmatch(words[1]) else NoMatch()
    if len(words) == 2 and not b"HTTP/".startswith(words[1][:5]):
        return NoMatch()
    return NeedMore(len(prefix) + 1)
