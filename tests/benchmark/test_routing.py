"""
L{benchmark.routing}: the same twenty routes for every proxy, of which the load has the last.
"""

import re
import tomllib

from twisted.trial.unittest import SynchronousTestCase

from benchmark import routing


class RoutingTests(SynchronousTestCase):
    def test_last(self) -> None:
        """The load's paths fit the last one and no other."""
        path = "/item/00fe12ab00fe12ab"
        fitting = [value for value in routing.EXPRESSIONS if re.fullmatch(value, path)]
        self.assertEqual([routing.LAST], fitting)
        self.assertEqual(routing.LAST, routing.EXPRESSIONS[-1])
        self.assertFalse(any(path.startswith(value) for value in routing.PREFIXES))

    def test_twenty(self) -> None:
        """Everybody has all of them."""
        self.assertEqual(20, len(routing.PREFIXES + routing.EXPRESSIONS))
        routes = tomllib.loads(routing.lproxy("a"))["services"]["a"]["routes"]
        self.assertEqual(20, len(routes))
        for text in (routing.nginx("proxy_pass x;"), routing.haproxy("a"), routing.envoy("a"), routing.lproxy("a")):
            for value in routing.PREFIXES + routing.EXPRESSIONS:
                self.assertIn(value, text)
