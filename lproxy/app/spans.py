# -*- test-case-name: tests.app.test_spans -*-
"""
Spans on their way to a collector: put into a queue by the reactor, and sent by a thread of their own.

A collector that is slow, or down, costs spans, never requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from lproxy.metrics.tracing import DROPPED, EXPORTED, FAILED, SpanCounts

#: spans that wait at most; further ones are dropped
QUEUE = 4_096
#: spans sent at once
BATCH = 512
#: seconds that a span waits for others, as in OpenTelemetry's own processor: to ask a collector costs milliseconds
INTERVAL = 5.0
#: seconds that are left for what waits, once nothing more is traced
LAST = 3.0


class Sender:
    """
    Sends what it is given.

    The thread begins with the first span, after a daemon has forked, and ends with C{close}: soon, whatever the
    collector does.
    """

    def __init__(
        self,
        export: Callable[[list[Any]], str],
        counts: SpanCounts,
        failed: Callable[[str], None],
        seconds: Callable[[], float],
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """
        @param export: sends some, within seconds, in the thread; returns why it could not, or nothing
        @param failed: told why, in the thread
        @param seconds: a monotonic clock
        @param done: told when there is nothing more to be sent
        """
        self._export = export
        self._counts = counts
        self._failed = failed
        self._seconds = seconds
        self._done = done
        self._queue: deque[Any] = deque()
        self._thread: Thread | None = None
        self._waiting = Event()
        self._hurry = Event()
        self._until: float | None = None

    def __repr__(self) -> str:
        return f"<Sender {len(self._queue)} spans>"

    def put(self, span: Any) -> None:
        """Have it sent; in the reactor's thread."""
        if len(self._queue) >= QUEUE or self._until is not None:
            self._counts.count(DROPPED, 1)
            return
        self._queue.append(span)
        if self._thread is None:
            self._thread = Thread(target=self._run, name="lproxy-spans")
            self._thread.start()
        # to set an event is to take its lock
        if not self._waiting.is_set():
            self._waiting.set()
        if len(self._queue) >= BATCH and not self._hurry.is_set():
            self._hurry.set()

    def close(self) -> None:
        """Send what waits, for L{LAST} seconds at most; harmless to be told twice."""
        if self._until is None:
            self._until = self._seconds() + LAST
            self._hurry.set()
            self._waiting.set()
            if self._thread is None:
                self._done()

    def join(self) -> None:
        """Wait for the thread's end, which C{close} brings about. Not in a reactor's thread that serves."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._until is None:
            self._waiting.wait()
            self._hurry.wait(INTERVAL)
            self._waiting.clear()
            self._hurry.clear()
            self._send()
        # whatever was put in meanwhile
        self._send()
        self._done()

    def _send(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if self._until is not None and self._seconds() >= self._until:
                self._counts.count(DROPPED, len(batch))
                continue
            try:
                why = self._export(batch)
            except Exception as e:
                why = f"{type(e).__name__}: {e}"
            self._counts.count(FAILED if why else EXPORTED, len(batch))
            if why:
                self._failed(why)
