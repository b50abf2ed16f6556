# -*- test-case-name: tests.configfile.test_own -*-
"""
Tables of their own that plugins have lproxy read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lproxy.configfile.own import Refused, read_own
from lproxy.configfile.problem import Wrong
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.setting import setting
from tests.configfile.case import LISTEN, Configure, FileTestCase


@dataclass(frozen=True)
class Own:
    """A plugin's table, told as lproxy tells its own."""

    level: int = setting(3, "how much")
    names: tuple[str, ...] = setting((), "who")
    wait: float = setting(1.0, "how long", "duration")


class OwnTests(FileTestCase):
    """What L{read_own} does for plugins."""

    def says(self, table: dict[str, Any], words: str, **more: Any) -> None:  # type: ignore[override]
        error = self.assertRaises(ValueError, read_own, Own, table, **more)
        self.assertEqual(words, str(error))

    def test_read(self) -> None:
        """What is set is read as its kind; what is not has no value; other keys are for the caller."""
        self.assertEqual({}, read_own(Own, {}))
        self.assertEqual(
            {"level": 5, "names": ("a", "b"), "wait": 0.5},
            read_own(Own, {"level": 5, "names": ["a", "b"], "wait": "500ms", "table": {}}, also=("table",)),
        )

    def test_wrong(self) -> None:
        """Every key that is wrong begins a message, which says what would be right."""
        self.says({"level": "x"}, "level: must be a whole number, not a string; write a number such as 100")
        both = (
            'levle: unknown key; did you mean "level"?',
            "level: must be a whole number, not a string; write a number such as 100",
        )
        self.says({"levle": 3, "level": "x"}, "; ".join(both))
        with self.assertRaises(Refused) as caught:
            read_own(Own, {"levle": 3, "level": "x"})
        self.assertEqual(both, caught.exception.messages)
        self.says({"zzz": 3}, "zzz: unknown key; keys here are level, names, wait")
        self.says({"names": ["a", 3]}, "names[1]: must be a string, not an integer; write it in double quotes")

    def test_checked(self) -> None:
        """A key's own check is asked for the value, or for each element."""

        def small(value: Any) -> Any:
            if len(str(value)) > 1:
                raise Wrong(f"{value} is long", "write less")
            return value

        self.says({"level": 10}, "level: 10 is long; write less", checks={"level": small})
        self.says({"names": ["a", "bc"]}, "names[1]: bc is long; write less", checks={"names": small})

    def test_kafka(self) -> None:
        """With the plugin that uses it: the line is that of the key, in the file's table or in a listener's."""
        plugins: Mapping[str, Configure] = {"kafka": KafkaPlugin().configure}
        use = '[[listen]]\nname = "web"\naddress = "127.0.0.1:4140"\nprotocol = "kafka"\ntarget = "10.0.0.1:1"\n'
        for text, problem in {
            f"{use}[kafka]\nidle = 3": 'f:7: kafka.idle: 3 has no unit; write "3s"',
            f'{use}[listen.kafka]\nmax_in_flight = 0\n[kafka]\nidle = "3s"': "f:7: listen[0].kafka.max_in_flight: 0 is "
            "not more than zero; write a number such as 100",
            f'{use}[listen.kafka]\n\ndeny = ["Fetch",\n "Fetsch"]': "f:9: listen[0].kafka.deny[1]: there is no "
            'request "Fetsch"; did you mean "Fetch"?',
            f'{use}[listen.kafka]\nmode = "gateway"': "f:6: listen[0].kafka: base_port: is missing; a gateway serves "
            'the broker with node id N on base_port + N, or brokers on the ports that ports = "29793-29892" names',
            f"{use}[listen.kafka.quotas]\na = {{ byte = 1 }}": "f:6: listen[0].kafka.quotas: 'a': byte: unknown key; "
            'did you mean "bytes"?',
            f'{use}[kafka.brokers]\n1 = "x"': "f:6: kafka.brokers: 'x' is no address; write 1 = \"kafka-1:9092\"",
        }.items():
            self.problems(text, problem, plugins=plugins)

    def test_replaced(self) -> None:
        """A listener's own keys replace the file's, and the others stay; what is wrong is said where it stands."""
        plugins: Mapping[str, Configure] = {"kafka": KafkaPlugin().configure}
        text = f'{LISTEN}target = "10.0.0.1:1"\nprotocol = "kafka"\n[listen.kafka]\nbase_port = 9100\n'
        text += '[kafka]\nidle = "5s"\nmax_brokers = 3'
        own: Any = self.good(text, plugins).listen[0].plugins["kafka"]
        self.assertEqual((9100, 5.0, 3), (own.base_port, own.idle, own.max_brokers))
