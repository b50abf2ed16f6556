# -*- test-case-name: tests.protocols.http.test_following -*-
"""
What lets a request be followed through a system: its id, and the trace that it is part of.

A listener that gives no ids and traces nothing has none of this. Of a trace that is not sampled nothing is kept;
whoever comes next is told that it is not.
"""

from __future__ import annotations

from lproxy.api import Conn, Runtime
from lproxy.protocols.http.account import Account
from lproxy.protocols.http.context import UNDECIDED, W3C, Context, extract, fields, without
from lproxy.protocols.http.digits import Digits
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.request_id import RequestIds
from lproxy.protocols.http.trace import Trace
from lproxy.protocols.tracing import Tracer
from lproxy.transport.networks import Networks


class Following:
    """Of one listener."""

    __slots__ = (
        "_digits",
        "_formats",
        "_ids",
        "_own",
        "_ready",
        "_rest",
        "_threshold",
        "_tracer",
        "_trusted",
        "_w3c_alone",
    )

    def __init__(self, runtime: Runtime) -> None:
        self._digits = Digits()
        listen = runtime.listen
        self._ids = RequestIds(listen, self._digits) if listen.request_id != "pass" else None
        self._tracer: Tracer | None = runtime.tracer
        self._formats: list[str] = list(runtime.tracer.propagation) if runtime.tracer is not None else []
        self._threshold = runtime.tracer.threshold.encode("ascii") if runtime.tracer is not None else b""
        self._w3c_alone = self._formats == [W3C]
        # of what is not sampled there are no spans: one id does for all of those that there might have been
        self._own = self._digits.take(16)
        self._rest = b"-%b-00" % self._own
        self._ready: list[bytes] = []
        self._trusted = Networks(listen.trusted) if listen.trusted else None

    def begin(self, request: Request, conn: Conn, account: Account) -> None:
        """Mark C{request}, which came on C{conn}; C{account} has its spans, where it has any."""
        if self._ids is not None:
            self._ids.apply(request, conn)
        tracer = self._tracer
        if tracer is None:
            return
        headers = request.headers
        if self._w3c_alone and not request.traced:
            # by far the most, where they come from outside
            if not self._ready:
                self._ready = self._digits.trace_ids()
            trace_id = self._ready.pop()
            if trace_id[16:] >= self._threshold:
                request.headers = [*headers, (b"traceparent", b"00-" + trace_id + self._rest)]
            else:
                account.trace = Trace(tracer, request, account, Context(), trace_id, self._formats)
            return
        context = extract(headers)
        if self._trusted is not None and not self._trusted.has(conn.peer[0]):
            # nobody from outside makes us sample, or writes into our traces
            formats, context = context.formats, Context()
            context.formats = formats
        sampled = context.sampled
        every = self._all(context)
        if sampled == 0 and context.trace_id and every == context.formats and len(every) == 1:
            # said already, and in no other way that may say something else
            return
        trace_id = context.trace_id or self._digits.take(32)
        if sampled == UNDECIDED:
            sampled = int(trace_id[16:] < self._threshold)
        if sampled:
            account.trace = Trace(tracer, request, account, context, trace_id, every)
        else:
            span_id = context.span_id or self._own
            told = fields(every, trace_id, span_id, False, context.random)
            request.headers = [*without(headers, context.state), *told]

    def _all(self, context: Context) -> list[str]:
        """The formats in which upstreams are told."""
        more = [format for format in context.formats if format not in self._formats]
        return self._formats + more


def following(runtime: Runtime) -> Following | None:
    """What a listener needs; C{None} where its requests are as any others."""
    return Following(runtime) if runtime.listen.request_id != "pass" or runtime.tracer is not None else None
