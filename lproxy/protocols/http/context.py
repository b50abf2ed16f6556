# -*- test-case-name: tests.protocols.http.test_context -*-
"""
The context of a trace in a request's fields: traceparent (W3C Trace Context), B3 in one field, and B3 in several.
"""

from __future__ import annotations

import re
from typing import Final

from lproxy.protocols.http.message import MEMO, Headers

TRACEPARENT: Final = 1
TRACESTATE: Final = 2
B3: Final = 3
B3_TRACE_ID: Final = 4
B3_SPAN_ID: Final = 5
B3_SAMPLED: Final = 6
B3_FLAGS: Final = 7
B3_PARENT: Final = 8

#: of kind L{lproxy.protocols.http.message.TRACE}
_NAMES = {
    b"traceparent": TRACEPARENT,
    b"tracestate": TRACESTATE,
    b"b3": B3,
    b"x-b3-traceid": B3_TRACE_ID,
    b"x-b3-spanid": B3_SPAN_ID,
    b"x-b3-sampled": B3_SAMPLED,
    b"x-b3-flags": B3_FLAGS,
    b"x-b3-parentspanid": B3_PARENT,
}

#: formats, by the names that OpenTelemetry has for them
W3C: Final = "tracecontext"
SINGLE: Final = "b3"
MULTI: Final = "b3multi"

#: whether a trace is sampled, where nobody has said so yet
UNDECIDED: Final = -1

#: version, trace-id, parent-id, trace-flags; versions to come may have more behind a dash
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SINGLE: Final = re.compile(rb"((?:[0-9a-fA-F]{16}){1,2})-([0-9a-fA-F]{16})(?:-([01d])(?:-[0-9a-fA-F]{16})?)?|([01d])")
_ID: Final = re.compile(rb"(?:[0-9a-fA-F]{16}){1,2}")
_YES: Final = (b"1", b"true")
_NO: Final = (b"0", b"false")
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16


class _Places(dict[bytes, int]):
    """Names as they were spelt, to which of the fields they are; 0: none."""

    def __missing__(self, name: bytes) -> int:
        place = _NAMES.get(name.lower(), 0)
        if len(self) < MEMO:
            self[name] = place
        return place


_places = _Places()


class Context:
    """
    What a request says of its trace.

    @ivar trace_id: 32 digits; empty: there is none, or none that could be read
    @ivar span_id: 16 digits of the caller's span; empty likewise
    @ivar sampled: 0 or 1, or L{UNDECIDED}
    @ivar debug: whether B3 wants it traced whatever others think: a flag that goes on
    @ivar random: whether the trace's id is known to be random: a flag that goes on
    @ivar formats: those that it came in, well-formed or not
    @ivar state: whether its tracestate means something
    """

    __slots__ = ("debug", "formats", "random", "sampled", "span_id", "state", "trace_id")

    def __init__(self) -> None:
        self.trace_id = b""
        self.span_id = b""
        self.sampled = UNDECIDED
        self.debug = False
        self.random = False
        self.formats: list[str] = []
        self.state = False


def extract(headers: Headers) -> Context:
    """What C{headers} say."""
    found: dict[int, bytes] = {}
    for field in headers:
        place = _places[field[0]]
        if place:
            # of several, all are wrong (Trace Context, 3.2)
            found[place] = field[1].strip(b" \t") if place not in found else b""
    return _context(found)


def without(headers: Headers, state: bool) -> Headers:
    """
    C{headers} without any context.

    @param state: whether tracestate stays
    """
    return [field for field in headers if not _places[field[0]] or (state and _places[field[0]] == TRACESTATE)]


def fields(
    formats: list[str], trace_id: bytes, span_id: bytes, sampled: bool, random: bool, debug: bool = False
) -> Headers:
    """
    The context of a span, in each of C{formats}.

    @param debug: which means that it is sampled
    """
    made: Headers = []
    for format in formats:
        if format == W3C:
            flags = sampled + 2 * random
            made.append((b"traceparent", b"00-%b-%b-%02x" % (trace_id, span_id, flags)))
        elif format == SINGLE:
            made.append((b"b3", b"%b-%b-%b" % (trace_id, span_id, b"d" if debug else b"1" if sampled else b"0")))
        else:
            decision = (b"x-b3-flags", b"1") if debug else (b"x-b3-sampled", b"1" if sampled else b"0")
            made += [(b"x-b3-traceid", trace_id), (b"x-b3-spanid", span_id), decision]
    return made


def _context(found: dict[int, bytes]) -> Context:
    context = Context()
    if TRACEPARENT in found:
        context.formats.append(W3C)
        _read_w3c(context, found[TRACEPARENT])
    if B3 in found:
        context.formats.append(SINGLE)
        if not context.trace_id:
            _read_single(context, found[B3])
    if any(place >= B3_TRACE_ID for place in found):
        context.formats.append(MULTI)
        if not context.trace_id and context.sampled == UNDECIDED:
            _read_multi(context, found)
    return context


def _read_w3c(context: Context, value: bytes) -> None:
    match = _TRACEPARENT.fullmatch(value)
    if match is None or match[1] == b"ff" or (match[1] == b"00" and match[5] is not None):
        return
    if match[2] == _NO_TRACE or match[3] == _NO_SPAN:
        return
    flags = int(match[4], 16)
    context.trace_id, context.span_id = match[2], match[3]
    context.sampled = flags & 1
    context.random = bool(flags & 2)
    context.state = True


def _read_single(context: Context, value: bytes) -> None:
    match = _SINGLE.fullmatch(value)
    if match is None:
        return
    state = match[3] or match[4]
    if state is not None:
        context.sampled = int(state != b"0")
        context.debug = state == b"d"
    if match[1] is not None:
        _set_ids(context, match[1], match[2])


def _read_multi(context: Context, found: dict[int, bytes]) -> None:
    said = found.get(B3_SAMPLED, b"").lower()
    context.debug = found.get(B3_FLAGS) == b"1"
    if context.debug or said in _YES:
        context.sampled = 1
    elif said in _NO:
        context.sampled = 0
    trace_id, span_id = found.get(B3_TRACE_ID, b""), found.get(B3_SPAN_ID, b"")
    if _ID.fullmatch(trace_id) and _ID.fullmatch(span_id) and len(span_id) == 16:
        _set_ids(context, trace_id, span_id)


def _set_ids(context: Context, trace_id: bytes, span_id: bytes) -> None:
    trace_id, span_id = trace_id.lower().rjust(32, b"0"), span_id.lower()
    if trace_id != _NO_TRACE and span_id != _NO_SPAN:
        context.trace_id, context.span_id = trace_id, span_id
