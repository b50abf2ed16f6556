# -*- test-case-name: tests.configfile.test_difference -*-
"""
L{lproxy.configfile.difference}: what a reload would change.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.reload import digest
from lproxy.config import Admin, Config, Limits, Listen, Metrics, Service
from lproxy.configfile import load, render
from lproxy.configfile.difference import differences

ONE, TWO = Listen(name="one", address="127.0.0.1:1"), Listen(name="two", address="127.0.0.1:2")


def config(*services: Service, listen: tuple[Listen, ...] = (ONE, TWO), **more: Limits) -> Config:
    return Config(listen=listen, services=MappingProxyType({one.name: one for one in services}), **more)


class DifferenceTests(SynchronousTestCase):
    """Two configurations."""

    def different(self, before: Config, after: Config) -> list[str]:
        return list(differences({**render(before), "live": {"hash": "x"}}, render(after)))

    def test_same(self) -> None:
        """Nothing, whatever the order of listeners and services."""
        a, b = Service(name="a:1"), Service(name="b:1")
        self.assertEqual([], self.different(config(a, b), config(b, a, listen=(TWO, ONE))))

    def test_setting(self) -> None:
        """One that has another value, with both."""
        changed = replace(ONE, target="10.0.0.1:80")
        lines = self.different(config(), config(listen=(changed, TWO), limits=Limits(in_flight=5)))
        self.assertEqual(
            {'~ listen.one.target: "authority" -> "10.0.0.1:80"', "~ limits.in_flight: 10000 -> 5"}, set(lines)
        )

    def test_order_of_routes(self) -> None:
        """Routes that stand in another order are other ones, as the first that is one's is taken; others stay apart."""
        head = '[services."w:80"]\nendpoints = ["10.0.0.1:80"]\n'
        a, b, c = (f'[services."w:80".routes.{name}]\nmatch = [{{ path = "/{name}/**" }}]\n' for name in "abc")
        loaded = [load(head + text, "f", {}).config for text in (a + b, b + a, a + c + b)]
        one, two, three = (config for config in loaded if config is not None)
        line = '~ services."w:80".routes, in another order: ["a", "b"] -> ["b", "a"]'
        self.assertEqual([line], self.different(one, two))
        (added,) = self.different(one, three)
        self.assertTrue(added.startswith('+ services."w:80".routes.c'), added)
        self.assertNotEqual(digest(one), digest(two))

    def test_restart(self) -> None:
        """What a reload leaves as it is, as it is only read at the start, is said."""
        admin = Admin(address="127.0.0.1:9", reload=True)
        after = replace(Config(), admin=admin, metrics=Metrics(target_cap=5), workers=2)
        marked = {line.split(":")[0]: line.endswith(" (takes a restart)") for line in self.different(Config(), after)}
        expected = {"~ admin.address": True, "~ admin.reload": False, "~ metrics.target_cap": True, "~ workers": True}
        self.assertEqual(expected, marked)

    def test_come_and_gone(self) -> None:
        """Whole tables are named by what they are known by."""
        web = Service(name="web:80", endpoints=("10.0.0.1:80",))
        self.assertEqual(
            {'+ services."web:80": ["10.0.0.1:80"]', "- listen.two"},
            set(self.different(config(), config(web, listen=(ONE,)))),
        )
