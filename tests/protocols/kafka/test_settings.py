# -*- test-case-name: tests.protocols.kafka.test_settings -*-
"""
Tests for L{lproxy.protocols.kafka.settings}: every key, what it may be, and what is said where it is not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import KIB, MIB, Listen
from lproxy.configfile import load
from lproxy.configfile.kinds import settings
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.protocols.kafka.settings import KafkaConfig, Quota, allowed, denied, read

#: what a gateway must have
GATEWAY = {"mode": "gateway", "base_port": 9100}
FILTERS = "tests.protocols.kafka.test_filter"

#: each key: a good value, and what becomes of it
GOOD: dict[str, tuple[Any, Any]] = {
    "mode": ("observe", "observe"),
    "on_invalid": ("close", "close"),
    "max_request": ("10MiB", 10 * MIB),
    "max_response": (1000, 1000),
    "max_header": ("8KiB", 8 * KIB),
    "max_in_flight": (5, 5),
    "buffered": ("64KiB", 64 * KIB),
    "max_rewritten": ("31MiB", 31 * MIB),
    "frame_progress": ("5s", 5.0),
    "idle": ("1h", 3600.0),
    "max_connections": (10, 10),
    "max_connections_per_address": (2, 2),
    "ports": ("29793-29892", "29793-29892"),
    "base_port": (65535, 65535),
    "advertised_host": ("kafka.example", "kafka.example"),
    "advertised_base_port": (1, 1),
    "max_brokers": (3, 3),
    "deny": (["DeleteTopics", "36", "10000"], ("20", "36", "10000")),
    "allow": (["ShareFetch"], ("78",)),
    "sasl_v0": ("reject", "reject"),
    "topics": (True, True),
    "errors": (True, True),
    "client_ids": (True, True),
    "client_id_cap": (3, 3),
    "topic_cap": (7, 7),
    "extra_api_keys": ([10_000, 10_001], (10_000, 10_001)),
    "brokers": ({"1": "kafka-1:9092", "20": "[::1]:9093"}, {1: ("kafka-1", 9092), 20: ("::1", 9093)}),
    "max_versions": ({"Fetch": 12, "3": 0}, {1: 12, 3: 0}),
    "quotas": (
        {"a b": {"bytes": "1MiB"}, "*": {"requests": 3}},
        {"a b": Quota(bytes=MIB), "*": Quota(requests=3)},
    ),
}

#: each key: a value that will not do, and what is said of it
BAD: list[tuple[str, Any, str]] = [
    ("mode", "gate", 'mode: must be "observe" or "gateway", not "gate"'),
    ("mode", "gatway", 'mode: must be "observe" or "gateway", not "gatway"; did you mean "gateway"?'),
    ("mode", 1, 'mode: must be "observe" or "gateway", not 1'),
    ("on_invalid", "open", 'on_invalid: must be "auto", "opaque" or "close", not "open"'),
    ("max_rewritten", "64 megs", 'max_rewritten: "64 megs" has an unknown unit; units are '),
    ("errors", 1, "errors: must be a boolean, not "),
    ("client_ids", "yes", "client_ids: must be a boolean, not "),
    ("client_id_cap", 0, "client_id_cap: 0 is not more than zero; write "),
    ("ports", "29793", 'ports: "29793" is no range of ports; write the first and the last: "29793-29892"'),
    ("ports", "2-1", 'ports: "2-1" is no range of ports; '),
    ("ports", "0-1", 'ports: "0-1" is no range of ports; '),
    ("ports", "1-65536", 'ports: "1-65536" is no range of ports; '),
    ("ports", 29793, "ports: must be a string, not "),
    ("max_request", "10 megs", 'max_request: "10 megs" has an unknown unit; units are '),
    ("max_request", 0, "max_request: 0 is not more than zero; write "),
    ("max_response", True, "max_response: must be a "),
    ("max_header", -1, "max_header: -1 is not more than zero; write "),
    ("max_in_flight", 0, "max_in_flight: 0 is not more than zero; write a number such as "),
    ("max_in_flight", "many", "max_in_flight: must be a whole number, not a string; write "),
    ("buffered", [], "buffered: must be a "),
    ("frame_progress", 5, 'frame_progress: 5 has no unit; write "5s"'),
    ("frame_progress", "0s", "frame_progress: "),
    ("idle", "none", "idle: "),
    ("max_connections", 0, "max_connections: 0 is not more than zero"),
    ("max_connections_per_address", 1.5, "max_connections_per_address: must be a whole number, not a float; "),
    ("base_port", 0, "base_port: 0 is "),
    ("base_port", 65536, "base_port: 65536 is no port; write a number from 1 to 65535"),
    ("advertised_base_port", 99999, "advertised_base_port: 99999 is no port; write a number from 1 to 65535"),
    ("advertised_host", "0.0.0.0", "advertised_host: 0.0.0.0 is nobody's address; write the name or address by which"),
    ("advertised_host", "::", "advertised_host: :: is nobody's address; write "),
    ("advertised_host", "[::]", "advertised_host: [::] is nobody's address; write "),
    ("advertised_host", "::ffff:0.0.0.0", "advertised_host: ::ffff:0.0.0.0 is nobody's address; write "),
    ("advertised_host", "0", 'advertised_host: "0" is no host; write the name or address alone'),
    ("advertised_host", "kafka:9092", 'advertised_host: "kafka:9092" is no host; write the name or address alone'),
    ("advertised_host", "http://kafka", 'advertised_host: "http://kafka" is no host; write the name or address alone'),
    ("advertised_host", "two words", 'advertised_host: "two words" is no host; write the name or address alone'),
    ("advertised_host", 5, "advertised_host: must be a string, not an integer"),
    ("max_brokers", -3, "max_brokers: -3 is not more than zero"),
    ("deny", "Fetch", 'deny: must be an array, not a string; write it in brackets: ["Fetch"]'),
    ("deny", ["Fetsch"], 'deny[0]: there is no request "Fetsch"; did you mean "Fetch"?'),
    ("deny", ["Fetch", "zzz"], 'deny[1]: there is no request "zzz"; write its name or key: "Fetch", "10000"'),
    ("deny", ["40000"], "deny[0]: 40000 is no API key; write a number below 32768"),
    ("deny", ["-1"], 'deny[0]: there is no request "-1"; '),
    ("deny", ["1", "Fetch"], 'deny[1]: "1" is given twice; deny[0] is the same'),
    ("deny", [3], "deny[0]: must be a string, not an integer; "),
    ("allow", ["\u0663"], 'allow[0]: there is no request "\u0663"; '),
    ("sasl_v0", "deny", 'sasl_v0: must be "pass" or "reject", not "deny"'),
    ("topics", "names", "topics: must be a boolean, not a string; write true or false"),
    ("topic_cap", "1", "topic_cap: must be a whole number, not a string; "),
    ("extra_api_keys", [40_000], "extra_api_keys[0]: 40000 is no API key; write a number below 32768"),
    ("extra_api_keys", 10_000, "extra_api_keys: must be an array, not an integer; write it in brackets: [10000]"),
    ("brokers", ["a:1"], "brokers: must be a table; write [kafka.brokers] and below it its keys"),
    ("brokers", {"one": "a:1"}, "brokers: 'one' is no node id; write 1 = \"kafka-1:9092\""),
    ("brokers", {"-1": "a:1"}, "brokers: '-1' is no node id; write "),
    ("brokers", {"\u0663": "a:1"}, "brokers: '\u0663' is no node id; write "),
    ("brokers", {"01": "a:1", "1": "b:1"}, "brokers: '01' is no node id; write "),
    ("brokers", {"2": "kafka"}, "brokers: 'kafka' is no address; write 2 = \"kafka-2:9092\""),
    ("brokers", {"2": ":9092"}, "brokers: ':9092' is no address; write "),
    ("brokers", {"2": "kafka:0"}, "brokers: 'kafka:0' is no address; write "),
    ("brokers", {"2": "kafka:70000"}, "brokers: 'kafka:70000' is no address; write "),
    ("brokers", {"2": 9092}, "brokers: 9092 is no address; write "),
    ("brokers", {"2": {}}, "brokers: {} is no address; write "),
    ("max_versions", 3, "max_versions: must be a table; write [kafka.max_versions] and below it its keys"),
    ("max_versions", {"Fetsch": 3}, 'max_versions: there is no request "Fetsch"; did you mean "Fetch"?'),
    ("max_versions", {"Fetch": "3"}, "max_versions: Fetch must have a version, a whole number such as "),
    ("max_versions", {"Fetch": True}, "max_versions: Fetch must have a version, a whole number such as "),
    ("max_versions", {"Fetch": -1}, "max_versions: Fetch must have a version, a whole number such as "),
    ("max_versions", {"Fetch": 1, "1": 2}, "max_versions: Fetch is given twice, by its name and its key"),
    ("quotas", "no", "quotas: must be a table; write [kafka.quotas] and below it its keys"),
    ("quotas", {"a": 5}, "quotas: 'a' must be a table with bytes or requests: "),
    ("quotas", {"a": {}}, "quotas: 'a' must be a table with bytes or requests: "),
    ("quotas", {"a": {"byte": 5}}, "quotas: 'a': byte: unknown key; did you mean \"bytes\"?"),
    ("quotas", {"a": {"bytes": "fast"}}, "quotas: 'a': bytes: "),
    ("quotas", {"a": {"requests": 0}}, "quotas: 'a': requests: 0 is not more than zero"),
    ("filters", [], "filters: must be a table; write [kafka.filters] and below it its keys"),
    ("filters", {"x:y": 1}, "filters: 'x:y' must be a table of its settings, perhaps empty: [kafka.filters.\"x:y\"]"),
    ("filters", {"no.such:Filter": {}}, "filters: 'no.such:Filter': there is no such filter: "),
    ("filters", {f"{FILTERS}:Picky": {}}, f"filters: '{FILTERS}:Picky': it does not take its settings: "),
    ("filters", {f"{FILTERS}:NoFilter": {}}, f"filters: '{FILTERS}:NoFilter': it is no Filter but a NoFilter"),
    ("in_flight", 5, 'in_flight: unknown key; did you mean "max_in_flight"?'),
]


class SettingTests(SynchronousTestCase):
    """What may stand in C{[kafka]}."""

    def says(self, table: dict[str, Any], words: str) -> None:
        error = str(self.assertRaises(ValueError, read, table))
        self.assertTrue(error.startswith(words), f"{error!r} of {table} does not begin with {words!r}")

    def test_defaults(self) -> None:
        """Nothing need be set: it looks, passes on what it cannot read, and has the limits of brokers and clients."""
        config = read({})
        self.assertEqual(replace(KafkaConfig(), filters=config.filters), config)
        self.assertEqual(
            ("observe", False, True, "pass", False),
            (config.mode, config.gateway, config.fail_open, config.sasl_v0, config.topics),
        )
        # socket.request.max.bytes of a broker, and longer than its connections.max.idle.ms
        self.assertEqual((104_857_600, True), (config.max_request, config.idle > 600))
        self.assertEqual((frozenset(), frozenset(), False), (denied(config), allowed(config), bool(config.filters)))

    def test_addresses(self) -> None:
        """Clients may be told any name or address, and an address as Kafka has it, without brackets."""
        for host, told in (
            ("", ""),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::1", "::1"),
            ("kafka_1.a-b.example.", "kafka_1.a-b.example."),
            ("7seas", "7seas"),
        ):
            self.assertEqual(told, read({"advertised_host": host}).advertised_host)

    def test_good(self) -> None:
        """Every key has a value that it takes; and every key is tried here."""
        for key, (value, wanted) in GOOD.items():
            self.assertEqual(wanted, getattr(read({key: value}), key), key)
        self.assertEqual(set(settings(KafkaConfig)) | {"brokers", "max_versions", "quotas"}, set(GOOD))
        self.assertEqual(set(GOOD) | {"filters", "in_flight"}, {key for key, _, _ in BAD})

    def test_bad(self) -> None:
        """What will not do is refused by a message that begins with the key, and says what would be right."""
        wrong = []
        for key, value, words in BAD:
            try:
                read({key: value})
            except ValueError as e:
                if not str(e).startswith(words):
                    wrong.append(f"{key} = {value!r}: {e}, not {words}")
            else:
                wrong.append(f"{key} = {value!r}: is taken")
        self.assertEqual([], wrong, "\n".join(wrong))

    def test_filters(self) -> None:
        """Filters are made of their tables, in the order of the file."""
        config = read({"filters": {f"{FILTERS}:Told": {"level": 3}, f"{FILTERS}:Other": {}}})
        self.assertEqual(["Told", "Other"], [type(one).__name__ for one in config.filters._filters])
        self.assertFalse(config.fail_open)

    def test_gateway(self) -> None:
        """A gateway has ports for its brokers, and never passes on what it cannot read."""
        self.says({"mode": "gateway"}, "base_port: is missing; a gateway serves the broker with node id N on ")
        self.says({**GATEWAY, "on_invalid": "opaque"}, "on_invalid: a gateway that passes on what it cannot read leaks")
        self.assertFalse(read(dict(GATEWAY)).fail_open)
        self.assertFalse(read({**GATEWAY, "on_invalid": "close"}).fail_open)

    def test_brokers_without_room(self) -> None:
        """Brokers that are configured must be no more than there may be."""
        self.says(
            {**GATEWAY, "brokers": {"1": "a:1", "2": "b:1"}, "max_brokers": 1}, "brokers: are 2; raise max_brokers"
        )
        self.says(
            {"mode": "gateway", "ports": "9-9", "brokers": {"1": "a:1", "2": "b:1"}}, "brokers: are 2; raise max_"
        )
        read({"brokers": {"1": "a:1", "2": "b:1"}, "max_brokers": 1})
        read({**GATEWAY, "brokers": {"60000": "a:1"}})

    def test_ports(self) -> None:
        """Brokers have the ports of the range, or those above base_port: as many as there may be."""
        for table, ports, most in (
            ({"base_port": 9100}, range(9101, 9201), 100),
            ({"base_port": 9100, "max_brokers": 3}, range(9101, 9104), 3),
            ({"base_port": 65_530}, range(65_531, 65_536), 100),
            ({"base_port": 9100, "advertised_base_port": 65_530}, range(9101, 9106), 100),
            ({"ports": "9-9"}, range(9, 10), 1),
            ({"ports": "1000-1999"}, range(1000, 2000), 1000),
            ({"ports": "1000-1999", "max_brokers": 10}, range(1000, 2000), 10),
            ({"ports": "1000-1004", "max_brokers": 10, "base_port": 999}, range(1000, 1005), 5),
        ):
            config = read({"mode": "gateway", **table})
            self.assertEqual((ports, most), (config.broker_ports, config.most_brokers))
            self.assertEqual(ports, config.further_ports(Listen(protocol="kafka")))
            self.assertEqual(range(0), config.further_ports(Listen()))
        self.assertEqual(range(0), read({"base_port": 9100}).further_ports(Listen(protocol="kafka")))

    def test_advertised(self) -> None:
        """What clients are told differs from where it is, always by as much."""
        for table, offset in (
            ({"base_port": 9100}, 0),
            ({"base_port": 9100, "advertised_base_port": 9000}, -100),
            ({"ports": "9100-9199", "advertised_base_port": 100}, -9000),
            ({"ports": "9100-9199", "base_port": 9099, "advertised_base_port": 99}, -9000),
        ):
            self.assertEqual(offset, read({"mode": "gateway", **table}).advertised_offset)
        self.says(
            {"mode": "gateway", "ports": "9100-9199", "advertised_base_port": 65_500},
            "advertised_base_port: clients would be told ports up to 65599; lower it",
        )

    def test_fail_open(self) -> None:
        """Where something is kept from somebody, what cannot be read does not pass, unless that is said."""
        self.assertFalse(read({"deny": ["Fetch"]}).fail_open)
        self.assertTrue(read({"deny": ["Fetch"], "on_invalid": "opaque"}).fail_open)
        self.assertFalse(read({"sasl_v0": "reject"}).fail_open)
        self.assertFalse(read({"on_invalid": "close"}).fail_open)

    def test_guards(self) -> None:
        """
        A listener that detects would let connections pass by what is kept from them, and is refused; one that names the
        protocol is not, and neither is one that only observes.
        """
        guards: list[tuple[str, dict[str, Any]]] = [
            ('mode = "gateway"', {"mode": "gateway", "base_port": 1000}),
            ("deny", {"deny": ["Fetch"]}),
            ("filters", {"filters": {f"{FILTERS}:Told": {}}}),
            ("quotas", {"quotas": {"*": {"requests": 1}}}),
            ('sasl_v0 = "reject"', {"sasl_v0": "reject"}),
            ('on_invalid = "close"', {"on_invalid": "close"}),
            ("max_connections", {"max_connections": 1}),
            ("max_connections_per_address", {"max_connections_per_address": 1}),
            ("max_request", {"max_request": "1MiB"}),
        ]
        for said, table in guards:
            config = read(table)
            (message,) = config.refuse(Listen())
            self.assertEqual(
                "detect: what detection does not take for Kafka goes on as TCP, and so passes by kafka's "
                f'{said}; write protocol = "kafka" instead, or leave "kafka" out of detect',
                message,
            )
            self.assertEqual([], list(config.refuse(Listen(protocol="kafka"))))
        self.assertEqual([], list(read({"topics": True, "max_request": "1GiB"}).refuse(Listen())))

    def test_checked(self) -> None:
        """The file is refused at its listener, also where that has a table of its own, or stands in no file."""
        table = '[kafka]\nmode = "gateway"\nbase_port = 19000\n'
        listen = '[[listen]]\nname = "k"\naddress = "127.0.0.1:9092"\ntarget = "127.0.0.1:9093"\n'
        for text, lines in (
            (table + listen + 'detect = ["kafka"]', [8]),
            (table + listen, [4]),
            (listen + '[listen.kafka]\ndeny = ["Fetch"]', [1]),
            (table, [None, None]),
        ):
            loaded = load(text, "f", {"kafka": KafkaPlugin().configure})
            self.assertEqual(lines, [problem.line for problem in loaded.problems])
            self.assertIn("passes by kafka's", str(loaded.problems[0]))
            self.assertIsNone(loaded.config)
        for text in (
            table + listen + 'protocol = "kafka"',
            f'{table}{listen}detect = ["http"]\n[listen.kafka]\ntopics = true',
        ):
            self.assertIsNotNone(load(text, "f", {"kafka": KafkaPlugin().configure}).config)

    def test_named(self) -> None:
        """Names and keys are the same."""
        config = read({"deny": ["Fetch", "20"], "allow": ["ShareFetch", "10000"]})
        self.assertEqual(({1, 20}, {78, 10_000}), (denied(config), allowed(config)))

    def test_helped(self) -> None:
        """Every setting says what it is for."""
        for setting in settings(KafkaConfig).values():
            self.assertGreater(len(setting.help), 10, setting.key)

    def test_untouched(self) -> None:
        """A table is read, not taken apart."""
        table: dict[str, Any] = {key: value for key, (value, _) in GOOD.items()}
        before = repr(table)
        read(table)
        self.assertEqual(before, repr(table))
