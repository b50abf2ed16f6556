# -*- test-case-name: tests.configfile.test_places -*-
"""
Tests for L{lproxy.configfile.places}.
"""

from __future__ import annotations

from lproxy.balancing import Place
from lproxy.configfile.render import render
from tests.configfile.case import FileTestCase

FILE = """
[[listen]]
name = "out"
address = "127.0.0.1:4140"

[services."web:80"]
endpoints = [{}]
"""


class PlacesTests(FileTestCase):
    """Endpoints with more than an address."""

    def test_tables(self) -> None:
        """A weight, a zone, both; and an address alone, however it is written."""
        config = self.good(
            FILE.format(
                '"a:1", { address = "b:1", weight = 3, zone = "eu-1" }, { address = "10.0.0.1:01" }, '
                '{ address = "c:1", zone = "eu-2" }'
            )
        )
        endpoints = config.services["web:80"].endpoints
        self.assertEqual(("a:1", Place("b:1", 3, "eu-1"), "10.0.0.1:1", Place("c:1", 1, "eu-2")), endpoints)
        self.assertEqual(
            [
                "a:1",
                {"address": "b:1", "weight": 3, "zone": "eu-1"},
                "10.0.0.1:1",
                {"address": "c:1", "weight": 1, "zone": "eu-2"},
            ],
            render(config)["services"]["web:80"]["endpoints"],
        )

    def test_bad(self) -> None:
        """What is wrong with one, and what would be right."""
        for text, says in {
            "{ weight = 3 }": "endpoints[0]: address is missing",
            '{ address = "b:1", wieght = 3 }': 'endpoints[0]: "wieght" is no key of an endpoint; did you mean',
            '{ address = "b:1", weight = 0 }': "weight 0 is not more than zero; leave the endpoint out",
            '{ address = "b:1", weight = -1 }': "weight -1 is not more than zero",
            '{ address = "b:1", weight = 1001 }': "weight 1001 is more than 1000; divide all weights",
            '{ address = "b:1", weight = 1.5 }': "weight must be a whole number, not a float",
            '{ address = "b:1", zone = 3 }': "zone must be a string, not an integer",
            '{ address = "b" }': 'endpoints[0]: "b" is no address with a port',
            '{ address = "127.0.0.1:4140", weight = 2 }': "is the proxy's own listen[0].address: a loop",
            '"b:1", { address = "b:1", weight = 2 }': 'endpoints[1]: "b:1" is given twice; services',
            "3": "must be a string or a table, not an integer",
        }.items():
            self.says(FILE.format(text), says)
