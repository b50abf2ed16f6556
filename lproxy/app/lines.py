# -*- test-case-name: tests.app.test_lines -*-
"""
Lines of the access log, by the format that is configured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from lproxy.logformat import JSON, PRESETS, Line, Row, Text, iso

#: the one character of ASCII that JSON does not escape, and terminals heed
DELETE: Final = b"\x7f"
#: what is no JSON is shown as text, bytes in base64: a plugin's row is not lost by it
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode
_dumps: Final = json.JSONEncoder(default=str, skipkeys=True, separators=(",", ":")).encode


def lines(format: str, connections: str = "") -> Line:
    """
    What makes lines of C{format}.

    @param format: C{json}, one of L{PRESETS}, or a text with fields
    @param connections: a text for what is no request, instead
    @raise BadFormat: one of the two is none
    """
    if format == JSON and not connections:
        return json_line
    request, connection = PRESETS.get(format, (format, format))
    first = json_line if format == JSON else Text(request)
    return Kinds(first, Text(connections or connection))


def json_line(row: Row, now: float) -> str:
    """Everything, as one JSON object in ASCII, so that nothing in it steers a terminal."""
    try:
        data = _encode(row)
    except (TypeError, ValueError):
        rest = _rare(row)
    else:
        # others are rare: a plugin's, or the name that a client of TLS has asked for
        plain = data.isascii() and DELETE not in data
        rest = data.decode("ascii") if plain else _dumps(json.loads(data))
    return f'{{"time":"{iso(now)}+00:00"{"," if len(rest) > 2 else ""}{rest[1:]}'


def _rare(row: Row) -> str:
    """Of a row with keys that are none, or with half of a pair of surrogates."""
    text = _dumps({str(key): value for key, value in cast("Mapping[Any, Any]", row).items()})
    # which has a word for what is not finite, and JSON has none
    return _dumps(json.loads(text, parse_constant=_nothing))


def _nothing(word: str) -> None:
    """For C{NaN} and the like."""


class Kinds:
    """A format for requests, and another for connections."""

    def __init__(self, request: Line, connection: Line) -> None:
        self._request = request
        self._connection = connection

    def __call__(self, row: Row, now: float) -> str:
        """The line of C{row}."""
        return self._request(row, now) if row.get("kind") == "request" else self._connection(row, now)
