# -*- test-case-name: tests.configfile.test_kinds -*-
"""
What each kind of setting takes and refuses.
"""

from __future__ import annotations

from lproxy.config import AUTO
from lproxy.configfile.kinds import kind_of
from lproxy.configfile.problem import Wrong
from tests.configfile.case import LISTEN, FileTestCase


class KindTests(FileTestCase):
    def test_none(self) -> None:
        """Only what may be off takes "none"."""
        config = self.good('[timeouts]\nbody = "none"\nwrite = "none"\nstream = "none"')
        self.assertEqual((None, None, None), (config.inbound.body, config.outbound.write, config.outbound.stream))
        self.says('[timeouts]\ndrain = "none"', '"none" is no duration')
        self.says("[timeouts]\nbody = 5", 'write "5s"')

    def test_part_or_none(self) -> None:
        """What may be no part at all is 0 then."""
        part = kind_of(float, "part or 0")
        self.assertEqual((0.0, 0.01, 1.0), (part.read(0), part.read(0.01), part.read(1)))
        for value in (-0.1, 1.5, float("nan"), False, "1%", 2**70):
            self.assertRaises(Wrong, part.read, value)

    def test_numbers(self) -> None:
        """A plain number is above zero and finite, whole or not."""
        number = kind_of(float, "")
        self.assertEqual((0.5, 2.0), (number.read(0.5), number.read(2)))
        for value in (0, -0.5, float("inf"), float("nan"), True, "1", 16**5000):
            self.assertIn("write a number such as 0.5", self.assertRaises(Wrong, number.read, value).right)

    def test_workers(self) -> None:
        """A count of processes, or auto; none is nobody, and it stands before the first table."""
        for text, workers in (("", 1), ("workers = 3", 3), ('workers = "auto"', AUTO)):
            self.assertEqual(workers, self.good(text).workers)
        for text, says in (
            ("workers = 0", "0 workers serve nobody"),
            ("workers = 1000", "1000 workers are more than 128"),
            ('workers = "all"', "must be a whole number"),
            ("workers = true", "must be a whole number"),
            ("[limits]\nworkers = 2", "it belongs in the top of the file, before its first table"),
        ):
            self.says(text, says)

    def test_other_types(self) -> None:
        """Booleans, strings, choices and arrays are each refused what they are not."""
        for text, says in {
            '[admin]\nshutdown = "yes"': "f:2: admin.shutdown: must be a boolean, not a string; write true or false, "
            "without quotes",
            "[admin]\nshutdown = 1": "f:2: admin.shutdown: must be a boolean, not an integer; write true or false, "
            "without quotes",
            "[access_log]\npath = 1": "f:2: access_log.path: must be a string, not an integer; write it in double "
            "quotes",
            '[access_log]\npath = "a\\u0000"': 'f:2: access_log.path: "a\\u0000" has control characters in it',
            '[admin]\nhosts = "a"': 'f:2: admin.hosts: must be an array, not a string; write it in brackets: ["a"]',
            '[admin]\nhosts = ["a", ""]': "f:2: admin.hosts[1]: is empty",
            '[admin]\nhosts = [\n"a",\n1]': "f:4: admin.hosts[1]: must be a string, not an integer; write it in double "
            "quotes",
            '[admin]\nhosts = ["a", "a"]': 'f:2: admin.hosts[1]: "a" is given twice; admin.hosts[0] is the same',
            f'{LISTEN}direction = "Inbound"': 'f:4: listen[0].direction: must be "inbound" or "outbound", not '
            '"Inbound"; did you mean "inbound"?',
            f"{LISTEN}direction = 3": 'f:4: listen[0].direction: must be "inbound" or "outbound", not 3',
        }.items():
            self.problems(text, says)
