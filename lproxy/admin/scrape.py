# -*- test-case-name: tests.admin.test_scrape -*-
"""
C{/metrics}: in the format that is asked for, and compressed where that is; for people, some of its lines (C{?q=}).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from lproxy.admin.negotiate import preferred, wants_gzip
from lproxy.admin.pages import Page
from lproxy.admin.stream import send

TEXT = ("text/plain", "0.0.4")
OPEN_METRICS = "application/openmetrics-text"
#: the first is for whoever does not say
OFFERS = (TEXT, (OPEN_METRICS, "1.0.0"), (OPEN_METRICS, "0.0.1"))
#: of zlib: what repeats itself as much as this does gains little by more
LEVEL = 1
#: of zlib: gzip's header and trailer, and its largest window
GZIP = 16 + zlib.MAX_WBITS


class Scrape(Page):
    """
    The exposition.

    @param text: makes it in pieces, as OpenMetrics if told so
    @param cooperate: as L{task.cooperate}: runs the pieces of an answer, with other work in between
    """

    def __init__(self, text: Callable[[bool], Iterator[bytes]], cooperate: Any) -> None:
        super().__init__()
        self._text = text
        self._cooperate = cooperate

    def render_GET(self, request: Any) -> Any:
        """As fast as others, and the client, leave time for it."""
        kind, version = preferred(_said(request, b"accept"), OFFERS)
        pieces = self._text(kind == OPEN_METRICS)
        if wanted := (request.args.get(b"q") or [b""])[0]:
            pieces = about(pieces, wanted)
        request.setHeader(b"vary", b"accept, accept-encoding")
        if wants_gzip(_said(request, b"accept-encoding")):
            request.setHeader(b"content-encoding", b"gzip")
            pieces = compressed(pieces)
        return send(request, f"{kind}; version={version}; charset=utf-8".encode(), pieces, self._cooperate)


def about(pieces: Iterator[bytes], wanted: bytes) -> Iterator[bytes]:
    """Of C{pieces}, of whole lines, the samples that have C{wanted} in them, with what is said of their families."""
    said: list[bytes] = []
    sampled = anything = False
    for piece in pieces:
        kept: list[bytes] = []
        for line in piece.split(b"\n")[:-1]:
            if line == b"# EOF":
                kept.append(line)
            elif line.startswith(b"#"):
                # HELP, TYPE and UNIT come before the samples of a family
                said = [line] if sampled else [*said, line]
                sampled = False
            else:
                sampled = True
                if wanted in line:
                    kept += [*said, line]
                    said = []
        if kept:
            anything = True
            yield b"\n".join((*kept, b""))
    if not anything:
        yield b"# there is no such sample\n"


def compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """C{pieces} as gzip: one for each, so that none is more work than it was before, and none is empty."""
    gzip = zlib.compressobj(LEVEL, wbits=GZIP)
    for piece in pieces:
        yield gzip.compress(piece) + gzip.flush(zlib.Z_SYNC_FLUSH)
    yield gzip.flush()


def _said(request: Any, name: bytes) -> str:
    # a list in several fields is one (RFC 9110, 5.3)
    return ", ".join(value.decode("latin-1") for value in request.requestHeaders.getRawHeaders(name, []))
