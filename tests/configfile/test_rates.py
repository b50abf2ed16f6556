# -*- test-case-name: tests.configfile.test_rates -*-
"""
Tests for L{lproxy.configfile.rates}.
"""

from __future__ import annotations

from lproxy.configfile.problem import Wrong
from lproxy.configfile.rates import read_rate, write_rate
from lproxy.profile import Rate
from tests.configfile.case import LISTEN, FileTestCase


class RateTests(FileTestCase):
    def test_whole(self) -> None:
        """Each key has its meaning, and all but one a default."""
        text = 'rates = [{ requests = 100 }, { requests = 9, per = "1m", burst = 20, by = "header", header = "X-Key" }]'
        (listen,) = self.good(LISTEN + text).listen
        self.assertEqual((Rate(100), Rate(9, 60.0, 20, "header", "X-Key")), listen.rates)

    def test_tables(self) -> None:
        """They may be tables below the listener, too."""
        (listen,) = self.good(f'{LISTEN}[[listen.rates]]\nrequests = 5\nper = "500ms"\nby = "client"').listen
        self.assertEqual((Rate(5, 0.5, by="client"),), listen.rates)

    def test_header(self) -> None:
        """A field's name says that it is by that."""
        self.assertEqual("header", read_rate({"requests": 1, "header": "a"}).by)

    def test_there_and_back(self) -> None:
        """What is written is read as the same."""
        for rate in (Rate(1), Rate(10, 3600.0, 7, "identity"), Rate(3, 0.25, 0, "header", "Cookie")):
            self.assertEqual(rate, read_rate(write_rate(rate)))

    def test_wrong(self) -> None:
        """What is wrong is named with its key, and with what would be right."""
        for text, says in {
            "rates = 5": "listen[0].rates: must be an array, not an integer",
            "rates = { requests = 5 }": "listen[0].rates: must be an array, not a table",
            "rates = [5]": "listen[0].rates[0]: must be a table, not an integer; write a table such as",
            "rates = [{}]": "listen[0].rates[0]: requests is missing",
            "rates = [{ requests = 0 }]": "rates[0]: requests 0 is not more than zero",
            "rates = [{ requests = -5 }]": "rates[0]: requests -5 is not more than zero",
            "rates = [{ requests = 1.5 }]": "rates[0]: requests must be a whole number, not a float",
            "rates = [{ requests = 5, per = 1 }]": 'rates[0]: per 1 has no unit; write "1s"',
            'rates = [{ requests = 5, per = "0s" }]': 'rates[0]: per "0s" is not more than zero',
            "rates = [{ requests = 5, burst = true }]": "rates[0]: burst must be a whole number, not a boolean",
            'rates = [{ requests = 5, by = "clients" }]': 'not "clients"; did you mean "client"?',
            "rates = [{ requests = 5, by = 3 }]": 'by must be "all", "client", "identity" or "header", not 3',
            'rates = [{ requests = 5, by = "header" }]': "needs the field's name; write header =",
            'rates = [{ requests = 5, by = "all", header = "a" }]': 'header is unused beside by = "all"',
            'rates = [{ requests = 5, header = "a b" }]': 'header: "a b" is no name of a field',
            "rates = [{ requests = 5, header = 1 }]": "header must be a string, not an integer",
            "rates = [{ request = 5 }]": '"request" is no key of a rate; did you mean "requests"?',
            "rates = [{ requests = 5, zzz = 1 }]": "keys are requests, per, burst, by, header",
            "rates = [{ requests = 5 }, { requests = 5 }]": "listen[0].rates[1]: {...} is given twice",
        }.items():
            self.says(LISTEN + text, says)
        self.assertRaises(Wrong, read_rate, None)

    def test_unused(self) -> None:
        """Whoever speaks no HTTP has no requests."""
        self.says(
            f'{LISTEN}protocol = "tcp"\ntarget = "a.b:1"\nrates = [{{ requests = 5 }}]', "is unused: the listener"
        )
