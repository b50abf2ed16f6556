# -*- test-case-name: tests.protocols.kafka.test_filter -*-
"""
Tests for L{lproxy.protocols.kafka.filter}: what authors of filters are promised.
"""

from __future__ import annotations

from typing import Any

from kafka.protocol.consumer import HeartbeatResponse
from kafka.protocol.metadata import MetadataResponse

from lproxy.errors import explain
from lproxy.protocols.kafka import filter as module
from lproxy.protocols.kafka.codec.apis import METADATA
from lproxy.protocols.kafka.codec.header import Malformed, RequestHead
from lproxy.protocols.kafka.filter import CLOSE, FORWARD, Answer, Close, Context, Filter, Filters, Forward, decode, make
from lproxy.protocols.kafka.session import LULL
from lproxy.testing import Peer
from tests.protocols.kafka.gateway.test_policy import BROKERS, TOLD
from tests.protocols.kafka.gateway.test_rewrite import metadata
from tests.protocols.kafka.scene import (
    KafkaTestCase,
    answer,
    ask_metadata,
    ask_versions,
    beat,
    framed,
    heartbeat,
    list_groups,
    produce,
    raw_request,
    versions,
)

HERE = f"{__name__}:"
#: what a filter here answers to a heartbeat, and how that is heard
NO = HeartbeatResponse(throttle_time_ms=5, error_code=27)


def refused(correlation: int) -> bytes:
    """The frame of L{NO}."""
    return answer(12, 4, correlation, b"\0\0\0\5\0\x1b\0")


class Told(Filter):
    """
    Remembers what it is told, and does what the test says.

    @cvar all: those that were made
    """

    all: list[Told] = []

    def __init__(self, requests: tuple[str, ...] = (), responses: tuple[str, ...] = (), **settings: Any) -> None:
        self.requests = requests
        self.responses = responses
        self.settings = settings
        self.heard: list[tuple[Any, ...]] = []
        self.contexts: list[Context] = []
        #: by API key, what to decide, or to raise
        self.decide: dict[int, Any] = {}
        self.broken: BaseException | None = None
        self.all.append(self)

    def on_request(self, context: Context, head: RequestHead, body: Any) -> Any:
        self.contexts.append(context)
        self.heard.append(("request", head.key, head.correlation_id, type(body).__name__))
        decision = self.decide.get(head.key, FORWARD)
        if isinstance(decision, BaseException):
            raise decision
        return decision

    def on_response(self, context: Context, head: RequestHead, body: Any) -> None:
        self.heard.append(("response", head.key, head.correlation_id, type(body).__name__))
        if self.broken is not None:
            raise self.broken


class NoFilter:
    """Is none."""


class Picky(Filter):
    """Takes one setting, and only so much of it."""

    def __init__(self, most: int) -> None:
        if most > 3:
            raise ValueError("most: is beyond 3")
        if most < 0:
            raise KeyError("most")


class FilterTestCase(KafkaTestCase):
    """A listener with two filters."""

    gateway: dict[str, Any] = {}

    def filters(self, first: dict[str, Any] | None = None, second: dict[str, Any] | None = None, **table: Any) -> None:
        """Begin anew with filters of these settings."""
        Told.all.clear()
        self.start(filters={f"{HERE}Told": first or {}, f"{__name__}:Other": second or {}}, **{**self.gateway, **table})
        self.first, self.second = Told.all

    def passes(self, client: Peer, said: bytes, heard: bytes) -> None:
        """C{said} is passed on and answered, and both are heard as they are."""
        before, known = len(client.heard), len(self.broker.heard) if self.connector.upstreams else 0
        self.say(client, said)
        self.assertEqual(said, self.broker.heard[known:])
        self.say(self.broker, heard)
        self.assertEqual(heard, client.heard[before:])


class Other(Told):
    """The second."""


class ObserveTests(FilterTestCase):
    """On a listener that only looks."""

    def test_told(self) -> None:
        """Each is told of every request and every answer, by their heads, in order."""
        self.filters()
        client = self.client()
        self.passes(client, heartbeat(1), beat(1))
        self.passes(client, heartbeat(2) + produce(3, acks=0) + heartbeat(4), beat(2) + beat(4))
        wanted = [
            ("request", 12, 1, "NoneType"),
            ("response", 12, 1, "NoneType"),
            ("request", 12, 2, "NoneType"),
            ("request", 0, 3, "NoneType"),
            ("request", 12, 4, "NoneType"),
            ("response", 12, 2, "NoneType"),
            ("response", 12, 4, "NoneType"),
        ]
        self.assertEqual((wanted, wanted), (self.first.heard, self.second.heard))

    def test_context(self) -> None:
        """With the listener, the client's address and what it calls itself, the broker where it is known."""
        self.filters()
        client = self.client(heartbeat(1))
        node = self.first.contexts[0].node
        self.assertEqual(Context("scripted", "10.0.0.1", node, "shop", "10.0.0.2"), self.first.contexts[0])
        self.say(client, heartbeat(2, client=None))
        self.assertIsNone(self.first.contexts[1].client_id)

    def test_bodies(self) -> None:
        """Only who wants a body has it, decoded, once all of it has come; byte for byte the same goes on."""
        self.filters({"requests": ("Produce",)}, {"responses": ("Metadata",)})
        client = self.client()
        said = produce(1, size=3000) + ask_metadata(2)
        for at in range(0, len(said), 100):
            self.say(client, said[at : at + 100])
            if at + 100 < len(produce(1, size=3000)):
                self.assertEqual([], self.connector.upstreams)
        self.assertEqual(said, self.broker.heard)
        heard = answer(0, 9, 1, bytes(6)) + answer(METADATA, 12, 2, metadata(12, BROKERS))
        told = heard if not self.gateway else answer(0, 9, 1, bytes(6)) + answer(METADATA, 12, 2, metadata(12, TOLD))
        for byte in heard:
            self.say(self.broker, bytes([byte]))
        self.assertEqual(told, client.heard)
        self.assertEqual(
            [
                ("request", 0, 1, "ProduceRequest"),
                ("request", 3, 2, "NoneType"),
                ("response", 0, 1, "NoneType"),
                ("response", 3, 2, "NoneType"),
            ],
            self.first.heard,
        )
        self.assertEqual(["NoneType", "NoneType", "NoneType", "MetadataResponse"], [h[3] for h in self.second.heard])

    def test_unread(self) -> None:
        """A body that nobody wants passes as it comes, in any size."""
        self.filters({"requests": ("Metadata",)})
        client = self.client(produce(1, size=3_000_000)[:1_000_000])
        self.assertEqual(1_000_000, len(self.broker.heard))
        self.say(client, produce(1, size=3_000_000)[1_000_000:])
        self.assertEqual(produce(1, size=3_000_000), self.broker.heard)

    def test_close(self) -> None:
        """The connection is closed, by whoever decides so first; not a byte of the request goes on."""
        for body in ((), ("Produce",)):
            self.filters({"requests": body})
            self.first.decide[0] = CLOSE
            client = self.client(heartbeat(1))
            self.say(client, produce(2), heartbeat(3))
            self.assertEqual(heartbeat(1), self.broker.heard)
            self.assert_over(client, flags="PE")
            self.warned("the client sends a request that kafka.deny or a filter forbids: closed")
            self.assertEqual(({"Produce": 1}, {"denied": 1}), (self.metrics.denied, self.metrics.protocol_errors))
            self.assertEqual([("request", 12, 1, "NoneType")], self.second.heard)

    def test_answer(self) -> None:
        """A request that is answered does not go on; the answer takes its turn, and those behind it wait for it."""
        for body in ((), ("Heartbeat",)):
            self.filters({}, {"requests": body})
            self.second.decide[12] = Answer(NO)
            client = self.client(list_groups(1), heartbeat(2), list_groups(3), heartbeat(4), heartbeat(5))
            self.assertEqual((list_groups(1) + list_groups(3), b""), (self.broker.heard, client.heard))
            one, three = framed(b"\0\0\0\1group"), framed(b"\0\0\0\3group")
            self.say(self.broker, one[:5])
            self.say(self.broker, one[5:-1])
            self.assertEqual(one[:-1], client.heard)
            self.say(self.broker, one[-1:])
            self.assertEqual(one + refused(2), client.heard)
            self.say(self.broker, three)
            self.assertEqual(one + refused(2) + three + refused(4) + refused(5), client.heard)
            self.say(client, heartbeat(6))
            self.assertTrue(client.heard.endswith(refused(5) + refused(6)))
            self.assertEqual(({"Heartbeat": 4}, {}), (self.metrics.denied, self.metrics.protocol_errors))
            self.assertEqual({}, self.incomplete)

    def test_answer_at_once(self) -> None:
        """Also to the first request: the client hears it although nobody is dialled."""
        for hung_up in (False, True):
            self.filters()
            self.first.decide[12] = Answer(b"\0\0\0\5\0\x1b\0")
            client = self.client()
            client.say(heartbeat(1))
            if hung_up:
                client.hang_up()
            self.settle()
            self.assertEqual((refused(1), []), (client.heard, self.connector.upstreams))
            if not hung_up:
                self.passes(client, list_groups(2), framed(b"\0\0\0\2group"))

    def test_answer_while_acquiring(self) -> None:
        """And while a broker is looked for; but not before what was asked earlier is answered."""
        self.filters()
        self.first.decide[12] = Answer(NO)
        self.connector.mode = "wait"
        client = self.client(heartbeat(1), list_groups(2), heartbeat(3))
        self.assertEqual(refused(1), client.heard)
        self.connector.accept()
        self.say(self.broker, framed(b"\0\0\0\2group"))
        self.assertEqual(refused(1) + framed(b"\0\0\0\2group") + refused(3), client.heard)

    def test_answer_to_silence(self) -> None:
        """A request that has no answer has none: it vanishes, all of it."""
        for body in ((), ("Produce",)):
            self.filters({"requests": body})
            self.first.decide[0] = Answer(b"?")
            said = produce(1, acks=0, size=3000)
            client = self.client(said[:500])
            self.say(client, said[500:], heartbeat(2))
            self.say(self.broker, beat(2))
            self.assertEqual((heartbeat(2), beat(2)), (self.broker.heard, client.heard))

    def test_answer_to_a_large_one(self) -> None:
        """A request that is answered by its head vanishes as it comes, however large; what follows it goes on."""
        self.filters()
        self.first.decide[0] = Answer(b"no")
        said = produce(1, size=500_000) + heartbeat(2)
        client = self.client()
        for at in range(0, len(said), 30_000):
            self.say(client, said[at : at + 30_000])
        self.assertEqual((heartbeat(2), answer(0, 9, 1, b"no")), (self.broker.heard, client.heard))

    def test_many_answers(self) -> None:
        """Answers of ours count as unanswered until they are written, and make room when they are."""
        self.filters(max_in_flight=4)
        self.first.decide[12] = Answer(NO)
        client = self.client(list_groups(0), *map(heartbeat, range(1, 20)), list_groups(20))
        self.assertEqual((list_groups(0), b""), (self.broker.heard, client.heard))
        self.say(self.broker, framed(b"\0\0\0\0group"))
        self.assertEqual(framed(b"\0\0\0\0group") + b"".join(map(refused, range(1, 20))), client.heard)
        self.assertEqual(list_groups(0) + list_groups(20), self.broker.heard)

    def test_in_order_behind_a_pause(self) -> None:
        """What makes room is written before what that room is for is judged: an answer of ours, or the end."""
        for decision, after in ((Answer(NO), refused(3)), (CLOSE, b"")):
            self.filters(max_in_flight=2)
            self.first.decide[12] = decision
            groups = [framed(bytes([0, 0, 0, n]) + b"group") for n in (1, 2)]
            client = self.client(list_groups(1), list_groups(2), heartbeat(3))
            self.say(self.broker, *groups)
            self.assertEqual(b"".join(groups) + after, client.heard)

    def test_order(self) -> None:
        """Filters are asked in the order of the file: the first that does not let it pass decides."""
        self.filters()
        self.first.decide[12], self.second.decide[12] = Answer(NO), CLOSE
        client = self.client(heartbeat(1))
        self.assertEqual((refused(1), []), (client.heard, self.second.heard))
        self.first.decide.clear()
        self.say(client, heartbeat(2))
        self.assert_over(client, flags="PE")

    def test_raises(self) -> None:
        """One that raises, whatever it is, ends the connection; that is a crash, counted and logged once."""
        for error in (ZeroDivisionError("x"), ValueError("x"), Malformed("x"), SystemExit(1)):
            for requests, responses in (((), ()), (("Heartbeat",), ("Heartbeat",))):
                for side in ("request", "response"):
                    self.filters({"requests": requests, "responses": responses})
                    client = self.client(list_groups(1))
                    if side == "request":
                        self.first.decide[12] = error
                    else:
                        self.first.broken = error
                    self.say(client, heartbeat(2))
                    if side == "response":
                        self.say(self.broker, framed(b"\0\0\0\1group"))
                        self.proxy.crashes.clear()
                        client = self.client(heartbeat(3))
                        self.say(self.broker, beat(3))
                    self.assertEqual("reset", client.ended)
                    self.assertEqual(1, len(self.proxy.crashes))
                    self.assertIn("Told", self.proxy.crashes[0].getErrorMessage())
                    self.assertEqual({}, self.metrics.protocol_errors)
                    self.proxy.crashes.clear()
                    self.tearDown()
        self.filters()

    def test_nonsense(self) -> None:
        """What is no decision, or no answer, ends the connection as well, and is named."""
        for decision, text in (
            (None, "Told failed: not a decision: None"),
            ("close", "Told failed: not a decision: 'close'"),
            (Close, "Told failed: not a decision: <class "),
            (Answer("no"), "a filter's answer cannot be encoded: 'no'"),
            (Answer(None), "a filter's answer cannot be encoded: None"),
        ):
            self.filters({})
            client = self.client(list_groups(1))
            self.first.decide[12] = decision
            self.say(client, heartbeat(2))
            self.assertEqual(("reset", 1), (client.ended, len(self.proxy.crashes)))
            error = self.proxy.crashes[0].value
            assert error is not None
            self.assertIn(text, explain(error))
            self.proxy.crashes.clear()
            self.tearDown()
        self.filters()

    def test_raises_after_a_pause(self) -> None:
        """Also where the request was kept for a while, and it is a timer that has it judged."""
        for table in ({"quotas": {"shop": {"requests": 1}}}, {"max_in_flight": 1}):
            self.filters({"requests": ("Produce",)}, **table)
            self.first.decide[0] = ZeroDivisionError()
            client = self.client(heartbeat(1), heartbeat(2), produce(3))
            for i in (1, 2, 3):
                self.wait(2)
                if not client.ended:
                    self.say(self.broker, beat(i))
            self.assertEqual(("reset", 1), (client.ended, len(self.proxy.crashes)))
            self.assertEqual(heartbeat(1) + heartbeat(2), self.broker.heard)
            self.proxy.crashes.clear()
            self.tearDown()
        self.filters()

    def test_undecodable(self) -> None:
        """A body that cannot be decoded does not pass; nor does what comes behind it."""
        self.filters({"requests": ("Metadata",), "responses": ("Metadata",)})
        client = self.client(heartbeat(1))
        self.say(client, raw_request(METADATA, 12, 2, b"\xff\xff"), heartbeat(3))
        self.assertEqual(heartbeat(1), self.broker.heard)
        self.assert_over(client, flags="PE")
        self.warned("the client sends what a filter was to read and cannot be decoded: closed")
        client = self.client(ask_metadata(1), heartbeat(2))
        self.say(self.broker, answer(METADATA, 12, 1, b"\xff\xff"), beat(2))
        self.assertEqual(b"", client.heard)
        self.assert_over(client, flags="PE")
        self.assertEqual({"undecodable": 1, "rewrite": 1}, self.metrics.protocol_errors)

    def test_too_large(self) -> None:
        """What is to be read and is larger than kafka.buffered is refused by its head; what is not, is not."""
        self.filters({"requests": ("Produce",), "responses": ("Metadata",)}, buffered="8KiB")
        client = self.client()
        self.passes(client, produce(2, size=8000), answer(0, 9, 2, bytes(6)))
        self.say(client, produce(3, size=8200)[:100])
        self.assert_over(client, flags="PE")
        self.warned("a filter was to read and is beyond kafka.buffered: closed")
        client = self.client(ask_metadata(1))
        self.say(self.broker, answer(METADATA, 12, 1, metadata(12, BROKERS, 400))[:100])
        self.assertEqual(b"", client.heard)
        self.assert_over(client, flags="PE")

    def test_drained(self) -> None:
        """A request that is read for a filter when nothing more is to pass is not begun: the client asks elsewhere."""
        self.filters({"requests": ("Produce",)})
        client = self.client(heartbeat(1), produce(2, size=900)[:500])
        self.session.drain()
        self.wait(self.proxy.runtime.timeouts.drain / 2 + LULL)
        self.say(client, produce(2, size=900)[500:])
        self.say(self.broker, beat(1))
        self.assertEqual((heartbeat(1), beat(1)), (self.broker.heard, client.heard))
        self.assert_over(client)

    def test_drained_answer(self) -> None:
        """What we answer ourselves is heard before the end, too."""
        self.filters()
        self.first.decide[12] = Answer(NO)
        client = self.client(list_groups(1), heartbeat(2))
        self.session.drain()
        self.say(self.broker, framed(b"\0\0\0\1group"))
        self.assertEqual(framed(b"\0\0\0\1group") + refused(2), client.heard)
        self.assert_over(client)

    def test_quota_in_a_body(self) -> None:
        """A request that is read for a filter when the quota strikes is read on afterwards, and asked about once."""
        self.filters({"requests": ("Produce",)}, quotas={"shop": {"requests": 1}})
        said = produce(3, size=200_000)
        client = self.client(heartbeat(1), heartbeat(2), said)
        self.wait(10)
        self.assertEqual(heartbeat(1) + heartbeat(2) + said, self.broker.heard)
        self.assertEqual(1, [one[1] for one in self.first.heard].count(0))
        client.hang_up()

    def test_unexpected_answer(self) -> None:
        """An answer to a request that has none is told as well, and passes."""
        self.filters()
        client = self.client(produce(1, acks=0))
        self.say(self.broker, answer(0, 9, 1, bytes(6)))
        self.assertEqual(answer(0, 9, 1, bytes(6)), client.heard)
        self.assertEqual(("response", 0, 1, "NoneType"), self.first.heard[-1])

    def test_versions_unsupported(self) -> None:
        """ApiVersions, refused in another version than it was asked in, is decoded as what it is."""
        self.filters({"responses": ("ApiVersions",)})
        client = self.client(ask_versions(1, 4))
        said = versions(1, 0, [(18, 0, 3)], error=35)
        self.say(self.broker, said)
        self.assertEqual((said, {}), (client.heard, self.metrics.protocol_errors))

    def test_unknown_key(self) -> None:
        """A vendor's request is told by its head, whatever it holds."""
        self.filters(allow=["10000"])
        client = self.client()
        self.passes(client, raw_request(10_000, 3, 1, b"\xff\xff"), framed(b"\0\0\0\1vendor"))
        self.assertEqual([("request", 10_000, 1), ("response", 10_000, 1)], [one[:3] for one in self.first.heard])


class GatewayTests(ObserveTests):
    """In a gateway, all the same; and filters see what clients will."""

    gateway = {"mode": "gateway", "base_port": 9100}

    def test_sees_told(self) -> None:
        """Addresses in an answer are those that clients are told."""
        self.filters({"responses": ("Metadata",)})
        seen: list[Any] = []
        self.first.on_response = lambda context, head, body: seen.append(body)  # type: ignore[method-assign]
        self.client(ask_metadata(1))
        self.say(self.broker, answer(METADATA, 12, 1, metadata(12, BROKERS)))
        assert isinstance(seen[0], MetadataResponse)
        self.assertEqual([one[:3] for one in TOLD], [(b.node_id, b.host, b.port) for b in seen[0].brokers])


class MakeTests(KafkaTestCase):
    """What the configuration may name."""

    def says(self, path: str, words: str, **settings: Any) -> None:
        error = self.assertRaises(ValueError, make, path, settings)
        self.assertTrue(str(error).startswith(words), str(error))

    def test_made(self) -> None:
        """It is given its table's keys."""
        made = make(f"{HERE}Told", {"requests": ("Fetch",), "level": 3})
        assert isinstance(made, Told)
        self.assertEqual({"level": 3}, made.settings)

    def test_nowhere(self) -> None:
        """A path that leads nowhere is refused as such."""
        for path in ("", ":", "no.such:Filter", f"{HERE}Nobody", __name__, ":Filter", ".relative:Filter", "a b:c"):
            self.says(path, "there is no such filter: ")

    def test_broken_module(self) -> None:
        """A module that cannot be imported too, whatever it raises."""

        def broken(name: str) -> Any:
            raise SyntaxError("line 3")

        self.patch(module, "import_module", broken)
        self.says("x:y", "there is no such filter: SyntaxError: line 3")

    def test_settings(self) -> None:
        """Settings that it does not take, in its own words, or that it breaks on."""
        self.says(f"{HERE}Picky", "it does not take its settings: ")
        self.says(f"{HERE}Picky", "it does not take its settings: most: is beyond 3", most=4)
        self.says(f"{HERE}Picky", "it does not take its settings: KeyError: 'most'", most=-1)

    def test_no_filter(self) -> None:
        """Something else is no filter."""
        self.says(f"{HERE}NoFilter", "it is no Filter but a NoFilter")
        self.says("builtins:int", "it is no Filter but a int")

    def test_no_api(self) -> None:
        """It wants bodies by names that there are, and that can be decoded."""
        self.says(f"{HERE}Told", "it wants 'Fetsch', which is no API", requests=("Fetsch",))
        self.says(f"{HERE}Told", "it wants 'Vote', which kafka-python cannot decode", responses=("Vote",))
        self.says(f"{HERE}Told", "its requests and responses must be names of APIs", requests=None)
        self.says(f"{HERE}Told", "its requests and responses must be names of APIs", requests="Fetch")

    def test_default(self) -> None:
        """One that does nothing lets all pass and reads nothing."""
        plain = Filter()
        head = RequestHead(10, 3, 12, 1, None, 14)
        context = Context("a", "b", "c")
        self.assertEqual(Forward(), plain.on_request(context, head, None))
        self.assertIsNone(plain.on_response(context, head, None))
        self.assertEqual((False, False), (Filters([plain]).wants_request("Fetch"), bool(Filters(()))))
        self.assertEqual((Filters(()), Filters([plain])), (Filters(()), Filters([plain])))
        self.assertNotEqual(Filters(()), Filters([plain]))
        self.assertEqual("<Filters none>", repr(Filters(())))
        self.assertNotEqual(Forward(), Close())

    def test_decode(self) -> None:
        """What nobody can decode says so."""
        self.assertRaises(Malformed, decode, "request", 52, 0, b"")
        self.assertRaises(Malformed, decode, "response", METADATA, 12, b"\xff")
        self.assertRaises(Malformed, decode, "response", METADATA, 99, b"\0" * 50)
