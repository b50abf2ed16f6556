# -*- test-case-name: tests.configfile.test_demands -*-
"""
Tests for L{lproxy.configfile.demands}: a protocol's own configuration has a say about each of its listeners.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Listen
from lproxy.configfile import Demands, Refused, insist
from lproxy.configfile.demands import ports_beside, refusals
from tests.configfile.case import LISTEN, Configure, FileTestCase, listener


@dataclass(frozen=True, slots=True)
class Strict(Demands):
    """Wants no detection, and ports 5000 to 5001."""

    error: BaseException | None = None

    def refuse(self, listen: Listen) -> Iterable[str]:
        """As it was made."""
        if self.error is not None:
            raise self.error
        return ["detect: lets us be passed by; write protocol", "and more"] if listen.protocol is None else []

    def further_ports(self, listen: Listen) -> range:
        """Two."""
        if self.error is not None:
            raise self.error
        return range(5000, 5002)


#: a plugin that makes such
STRICT: Mapping[str, Configure] = {"strict": lambda table: Strict()}


class DemandsTests(SynchronousTestCase):
    def test_none(self) -> None:
        """Whatever else configure returns demands nothing, and neither does a class that says nothing."""
        for value in (None, {}, object(), Demands()):
            self.assertEqual([], list(refusals(value, Listen())))
            self.assertEqual(range(0), ports_beside(value, Listen()))
            insist(value, Listen())

    def test_refused(self) -> None:
        """Each message is told with the key that it begins with, if it does."""
        self.assertEqual(
            [("detect", "lets us be passed by; write protocol"), ("", "and more")], list(refusals(Strict(), Listen()))
        )
        error = self.assertRaises(Refused, insist, Strict(), Listen())
        self.assertEqual(("detect: lets us be passed by; write protocol", "and more"), error.messages)
        insist(Strict(), Listen(protocol="strict"))
        self.assertEqual(range(5000, 5002), ports_beside(Strict(), Listen()))

    def test_raises(self) -> None:
        """What raises has refused; nothing else is hurt."""
        for error in (KeyError("x"), SystemExit(3)):
            self.assertIn("cannot be judged", dict(refusals(Strict(error), Listen()))[""])
            self.assertEqual(range(0), ports_beside(Strict(error), Listen()))

    def test_no_ports(self) -> None:
        """What is no range of ports counts as none."""

        class Odd(Demands):
            def further_ports(self, listen: Listen) -> Any:
                return "5000"

        self.assertEqual(range(0), ports_beside(Odd(), Listen()))


class FileTests(FileTestCase):
    def test_refused(self) -> None:
        """The file is refused, at the key of the listener."""
        self.problems(
            f'{LISTEN}detect = ["strict"]',
            "f:1: listen[0]: and more",
            "f:4: listen[0].detect: lets us be passed by; write protocol",
            plugins=STRICT,
        )
        self.good(f'{LISTEN}protocol = "strict"', STRICT)

    def test_unspoken(self) -> None:
        """A listener that does not speak the protocol is not its affair."""
        self.good(f'{LISTEN}detect = ["http"]', STRICT)

    def port(self, number: int, host: str = "127.0.0.1", name: str = "web") -> str:
        """A listener there, whose protocol wants the ports 5000 and 5001 besides."""
        return listener(name=name, address=f"{host}:{number}", protocol="strict")

    def test_ports(self) -> None:
        """Ports that a protocol wants besides are nobody else's: another listener's, its own, the admin server's."""
        other = listener(name="b", address="0.0.0.0:5001", protocol="tcp", target="original-dst")
        for text, part in (
            (
                self.port(4000) + other,
                "listen[0].strict: wants the ports 5000 to 5001: listen[1].address (0.0.0.0:5001)",
            ),
            (
                self.port(5000),
                "listen[0].strict: wants the ports 5000 to 5001: listen[0].address (127.0.0.1:5000) is one",
            ),
            ('[admin]\naddress = "127.0.0.1:5001"\n' + self.port(0), "wants the ports 5000 to 5001: admin.address"),
            (
                self.port(4000) + self.port(0, name="b"),
                "listen[1].strict: wants the ports 5000 to 5001: so does listen[0].strict, in part; give each listener",
            ),
        ):
            self.says(text, part, STRICT)

    def test_apart(self) -> None:
        """On other addresses, or by a listener that does not speak it, they do no harm."""
        self.good(
            self.port(4000) + listener(name="b", address="127.0.0.1:5002", protocol="tcp", target="original-dst"),
            STRICT,
        )
        self.good(self.port(4000) + self.port(5000, "127.0.0.2", "b").replace("strict", "http"), STRICT)
        self.good(self.port(4000) + self.port(4000, "127.0.0.2", "b"), STRICT)
        self.good(self.port(4000) + self.port(4000, "[::1]", "b"), STRICT)
        self.good(listener(address="unix:/a", protocol="strict") + self.port(4000, name="b"), STRICT)
