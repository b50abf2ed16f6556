# -*- test-case-name: tests.test_logformat -*-
"""
What a line of the access log may look like: JSON (L{lproxy.app.lines}), or a text with fields in braces.

A row is what a protocol has to say of a request or connection that is over: a mapping, of which JSON shows all. A
format's fields are L{FIELDS}. Whatever peers say is escaped as Apache and nginx do it, so that a row is one line whose
quotes are the format's own (http.md, R15).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

Row = Mapping[str, Any]
#: from a row and the moment at which it was written, in seconds of the epoch, to its line, without the line's end
Line = Callable[[Row, float], str]

#: every field that a format may have, and what it says. Times and durations may have a form, see L{FORMS}
FIELDS: Final[Mapping[str, str]] = {
    "time": "when it was over",
    "start_time": "when it began",
    "kind": "request or connection",
    "listener": "the listener's name",
    "client": "the client's address, IP:port",
    "client_ip": "the same without the port",
    "method": "the request's method",
    "authority": "whom the request was for: its Host, or :authority",
    "path": "the request's path, and its query",
    "protocol": "HTTP/1.0, HTTP/1.1 or HTTP/2; of connections tcp, kafka or a plugin's name",
    "stream": "the id of the HTTP/2 stream",
    "status": "the answer's status; 0: there was none",
    "grpc_status": "what came of a call of gRPC, by number",
    "target": "where it was to go",
    "route": "the route of the service's profile that it took",
    "upstream": "the endpoint that served it, or was tried last",
    "tries": "how often it was sent",
    "seconds": "how long it took, from its first head to its end",
    "acquire_seconds": "of these, how long a service was waited for, by all tries together",
    "upstream_head_seconds": "of these, from when it was sent last until the head of the answer came",
    "upstream_seconds": "of these, from when it was sent last until the end",
    "bytes_in": "bytes of the request's body; of connections, all from the client",
    "bytes_out": "bytes of the answer's body; of connections, all to the client",
    "flags": "how it ended, where it did not end well",
    "errno": "how the client's connection ended",
    "user_agent": "the request's User-Agent",
    "referer": "its Referer",
    "forwarded_for": "its X-Forwarded-For, as sent on",
    "request_id": "its X-Request-Id, as sent on",
    "trace_id": "the trace that it belongs to, by traceparent or B3",
    "tls": "the version of TLS that the client came by",
    "server_name": "the name that it asked for there (SNI)",
    "remote_identity": "who the client is, as mutual TLS has proved",
    "local_identity": "who the proxy was to it",
    "client_id": "what a Kafka client calls itself",
    "node": "the id of the Kafka broker",
}

TIMES: Final = ("time", "start_time")
DURATIONS: Final = ("seconds", "acquire_seconds", "upstream_head_seconds", "upstream_seconds")
#: of a time: C{{time:clf}} is the Common Log Format's, C{{time:unix}} seconds of the epoch; of a duration: whole
#: milliseconds or microseconds
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(TIMES, ("clf", "unix")),
    **dict.fromkeys(DURATIONS, ("ms", "us")),
}

#: by name: the format of requests, and that of connections
PRESETS: Final[Mapping[str, tuple[str, str]]] = {
    "combined": (
        '{client_ip} - {remote_identity} [{start_time:clf}] "{method} {path} {protocol}" {status} {bytes_out} '
        '"{referer}" "{user_agent}"',
        '{client_ip} - {remote_identity} [{start_time:clf}] "- {target} {protocol}" 0 {bytes_out} "-" "-"',
    ),
    "envoy": (
        '[{start_time}] "{method} {path} {protocol}" {status} {flags} {bytes_in} {bytes_out} {seconds:ms} '
        '{upstream_head_seconds:ms} "{forwarded_for}" "{user_agent}" "{request_id}" "{authority}" "{upstream}"',
        '[{start_time}] "- - {protocol}" 0 {flags} {bytes_in} {bytes_out} {seconds:ms} - "-" "-" "-" "{target}" '
        '"{upstream}"',
    ),
}
JSON: Final = "json"

#: for what is not known, or not said
NOTHING: Final = "-"
#: what clients say, perhaps in no words: between quotes that is something else than not to say it
SAID: Final = frozenset(("user_agent", "referer", "forwarded_for", "request_id"))
#: a field, a brace or an escape of the format itself, or a mistake
PIECE: Final = re.compile(r"\{\{|\}\}|\\t|\\\\|\{([^{}]*)\}|[{}]")
#: what a value must not have within quotes. A backslash that begins an escape of ours is one already
UNSAFE: Final = re.compile(r'[^\x20-\x7e]|"|\\(?!x[0-9a-f]{2})')
#: nor outside of them, where a blank ends it
UNSAFE_BARE: Final = re.compile(r'[^\x21-\x7e]|"|\\(?!x[0-9a-f]{2})')
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class BadFormat(ValueError):
    """
    It cannot be a format.

    @ivar wrong: what is wrong
    @ivar right: what would be right
    @ivar name: the field that there is not, if that is it
    """

    def __init__(self, wrong: str, right: str, name: str = "") -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong = wrong
        self.right = right
        self.name = name


class Text:
    """Lines by a text with fields in braces."""

    def __init__(self, format: str) -> None:
        """
        @raise BadFormat: there is no such field
        """
        self._template = ""
        self._values: list[Value] = []
        quoted = False
        at = 0
        for match in PIECE.finditer(format):
            quoted = self._literal(format[at : match.start()], quoted)
            at = match.end()
            found = match[0]
            if match[1] is not None:
                self._values.append(Value(match[1], quoted))
                self._template += "%s"
            elif found in ("{", "}"):
                raise BadFormat(
                    f"{format[match.start() :][:20]!r}: a single {found}", f"write {found}{found} for itself"
                )
            else:
                self._literal("\t" if found == "\\t" else found[0], quoted)
        self._literal(format[at:], quoted)
        if not self._values:
            raise BadFormat(
                f"{format[:40]!r} has no field", 'write json, combined, envoy, or fields as in "{method} {path}"'
            )

    def _literal(self, text: str, quoted: bool) -> bool:
        self._template += text.replace("%", "%%")
        return quoted ^ (text.count('"') % 2 == 1)

    def __call__(self, row: Row, now: float) -> str:
        """The line of C{row}."""
        return self._template % tuple([value(row, now) for value in self._values])


class Value:
    """One field."""

    def __init__(self, text: str, quoted: bool) -> None:
        """
        @param text: what stands in the braces
        @param quoted: whether they stand between quotes
        @raise BadFormat: there is no such field
        """
        name, colon, form = text.partition(":")
        if name not in FIELDS:
            raise BadFormat(f"there is no field {name[:40]!r}", f"fields are {', '.join(FIELDS)}", name)
        forms = FORMS.get(name, ())
        if colon and form not in forms:
            right = f"write {{{name}}}" + "".join(f" or {{{name}:{one}}}" for one in forms)
            raise BadFormat(f"{name} has no form {form[:20]!r}", right)
        self._name = name
        self._form = form
        self._unsafe: re.Pattern[str] = UNSAFE if quoted else UNSAFE_BARE
        self._is_quoted = quoted
        self._is_time = name in TIMES
        self._is_duration = name in DURATIONS
        self._is_ip = name == "client_ip"
        self._may_be_empty = quoted and name in SAID

    def __call__(self, row: Row, now: float) -> str:
        """Its value."""
        name = self._name
        if self._is_time:
            took = row.get("seconds") if name == "start_time" else None
            return _time(now - took if isinstance(took, (int, float)) else now, self._form)
        value: Any = _without_port(row.get("client")) if self._is_ip else row.get(name)
        if value is None or (value == "" and not self._may_be_empty):
            return NOTHING
        if type(value) is str:
            # most are as they should be, which is seen in less time without a regular expression
            plain = value.isascii() and value.isprintable() and '"' not in value and "\\" not in value
            if plain and (self._is_quoted or " " not in value):
                return value
            return self._unsafe.sub(_escaped, value)
        if self._is_duration and isinstance(value, (int, float)):
            return _duration(value, self._form)
        # not a bool, which compiled code would make a number of
        if type(value) is int:
            return str(value)
        return self._unsafe.sub(_escaped, str(value))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "replace"))


def _without_port(client: object) -> str | None:
    return str(client).rpartition(":")[0].strip("[]") if client else None


def _duration(seconds: float, form: str) -> str:
    if form == "ms":
        return str(round(seconds * 1_000))
    return str(round(seconds * 1_000_000)) if form == "us" else f"{seconds:.6f}"


def _time(at: float, form: str) -> str:
    if form == "clf":
        return _second(int(at))[1]
    return f"{at:.3f}" if form == "unix" else f"{iso(at)}Z"


def iso(at: float) -> str:
    """To the millisecond, without the zone, which is UTC."""
    second = int(at)
    return f"{_second(second)[0]}.{int((at - second) * 1000):03d}"


@lru_cache(16)
def _second(second: int) -> tuple[str, str]:
    """As ISO 8601 has it, and as the Common Log Format does: many lines have the same."""
    at = datetime.fromtimestamp(second, UTC)
    # names of months as everybody reads them, whatever the locale
    month = _MONTHS[at.month - 1]
    clf = f"{at.day:02d}/{month}/{at.year}:{at.hour:02d}:{at.minute:02d}:{at.second:02d} +0000"
    return f"{at:%Y-%m-%dT%H:%M:%S}", clf
