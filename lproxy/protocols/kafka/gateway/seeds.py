# -*- test-case-name: tests.protocols.kafka.gateway.test_seeds -*-
"""
Ask a seed who the brokers are: at the start, before any client has, and then every minute.

So a gateway that starts again serves every broker's port before it says that it is ready, and learns who is gone
though no client asks. It asks like any client without a login. Brokers that answer nobody without one are found out by
their answering ApiVersions nevertheless: then clients' own Metadata has to do, and the gateway says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from lproxy.api import Acquire, Runtime, Target, explain
from lproxy.errors import Failed
from lproxy.protocols.kafka.client import KafkaLease
from lproxy.protocols.kafka.codec.apis import API_VERSIONS, METADATA
from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.gateway import rewrite
from lproxy.protocols.kafka.gateway.cluster import Named
from lproxy.protocols.kafka.gateway.question import Question, asked
from lproxy.protocols.kafka.metrics import KafkaMetrics

#: seconds between two questions, once there was a response, and until then
INTERVAL, RETRY = 60.0, 1.0
#: and where brokers want a login, to whom it is a failed one
SELDOM = 600.0

#: Metadata in a version that all brokers know
VERSION = 1
#: version and frame: Metadata about no topic, and what a broker responds to before any login
REQUESTS = {METADATA: (VERSION, asked(METADATA, VERSION, bytes(4))), API_VERSIONS: (0, asked(API_VERSIONS, 0))}
#: the node that metrics have for requests of our own
OURS = "seed"


class Seeds:
    """Who asks, on behalf of one listener."""

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        acquire: Acquire[KafkaLease],
        target: Target,
        metrics: KafkaMetrics,
        learn: Callable[[list[Named]], None],
    ) -> None:
        """
        @param name: the protocol's name
        @param learn: told of all brokers that there are
        """
        self._runtime = runtime
        self._name = name
        self._acquire = acquire
        self._target = target
        self._metrics = metrics
        self._learn = learn
        self._why: str | None = "no seed has been asked yet who the brokers are"
        self._stopped = False
        self._timer: IDelayedCall | None = None
        self._pending: Deferred[KafkaLease] | None = None
        self._question: Question | None = None

    def start(self, known: bool = False) -> None:
        """
        Ask now, and from now on.

        @param known: whether the brokers are known already, and served
        """
        if known:
            self._why = None
        self._ask()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()
        if self._question is not None:
            self._question.cancel()

    def not_ready(self) -> str | None:
        """Why clients that come back would not find every broker's port yet."""
        return self._why and f"listener {self._runtime.listen.name}: {self._why}"

    def _ask(self) -> None:
        self._timer = None
        self._acquired(METADATA, self._told)

    def _acquired(self, key: int, done: Callable[[bytes | None], None]) -> None:
        """Send a request to a seed, and have C{done} called with the response; C{None}: it closes instead."""
        version, request = REQUESTS[key]
        counter = self._metrics.version(key, version, OURS)

        def send(lease: KafkaLease) -> None:
            self._pending = None
            if self._stopped:
                lease.close()
                return
            counter.requests += 1
            self._question = Question(lease, request, partial(self._safely, responded), self._runtime.clock)
            self._question.start()

        def responded(response: bytes | None) -> None:
            if response is None:
                counter.api.incomplete += 1
            else:
                counter.responses += 1
            done(response)

        def failed(failure: Failure) -> None:
            self._pending = None
            if not failure.check(CancelledError):
                failures = self._metrics.connects_failed
                failures[OURS] = failures.get(OURS, 0) + 1
                assert failure.value is not None
                self._failed(explain(failure.value))

        pending = self._pending = self._acquire.acquire(self._target)
        pending.addCallbacks(send, failed)
        pending.addErrback(lambda failure: self._runtime.crashed(self._name, failure))

    def _told(self, response: bytes | None) -> None:
        if response is None:
            self._acquired(API_VERSIONS, self._closed)
            return
        named: list[Named] = []

        def note(node: int, host: str, port: int) -> tuple[str, int]:
            named.append((node, host, port))
            return host, port

        try:
            whole = rewrite.metadata(response, VERSION, len(response), note)
        except Malformed as e:
            self._failed(f"a seed responds to Metadata with what is none: {e}")
            return
        if whole is None or not named:
            self._failed("a seed knows of no broker yet")
            return
        self._again(INTERVAL)
        self._learn(named)
        self._why = None

    def _closed(self, response: bytes | None) -> None:
        """A seed closes when it is asked for Metadata, and to ApiVersions has responded so."""
        if response is None:
            self._failed("seeds close the connection when they are asked for Metadata")
            return
        self._why = None
        self._again(SELDOM)
        why = "brokers tell nobody without a login who they are"
        self._runtime.warn(
            "kafka-seeds-login",
            f"listener {self._runtime.listen.name}: {why}, so their ports "
            "are opened as clients ask; name them in [kafka.brokers] to have them open from the start",
            Failed("kafka", str(self._target), why, None),
        )

    def _failed(self, why: str) -> None:
        if self._why is not None:
            self._why = f"the brokers are not known yet: {why}"
        said = f"listener {self._runtime.listen.name}: {why}; asked again"
        self._runtime.warn("kafka-seeds", said, Failed("kafka", str(self._target), why, None))
        self._again(INTERVAL if self._why is None else RETRY)

    def _safely(self, f: Callable[..., None], *args: object) -> None:
        """What C{f} raises is told, and it is asked again all the same."""
        try:
            f(*args)
        except BaseException:
            self._runtime.crashed(self._name, Failure())
            if self._timer is None:
                self._again(INTERVAL)

    def _again(self, seconds: float) -> None:
        self._question = None
        if not self._stopped:
            self._timer = self._runtime.clock.callLater(seconds, self._safely, self._ask)
