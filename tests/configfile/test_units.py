# -*- test-case-name: tests.configfile.test_units -*-
"""
How users write durations, sizes and counts.
"""

from __future__ import annotations

import random

from lproxy.configfile import load
from lproxy.configfile.units import read_duration, read_size, write_duration, write_size
from tests.configfile.case import FileTestCase


class UnitTests(FileTestCase):
    def test_durations(self) -> None:
        """A duration reads as its exact number of seconds, and writes as a file would have it."""
        exact = {"300ms": 0.3, "50ms": 0.05, "10s": 10.0, "90s": 90.0, "2m": 120.0, "1h": 3600.0, "1500ms": 1.5}
        for text, seconds in exact.items():
            self.assertEqual((seconds, text), (read_duration(text), write_duration(seconds)))
        self.assertEqual((1.5, 0.1, 2.0), (read_duration("1.5s"), read_duration("0.1 s"), read_duration("02s")))

    def test_every_duration_survives(self) -> None:
        """Whatever the number, what is written reads back as it."""
        rng = random.Random(1)
        for exponent in range(-9, 9):
            seconds = rng.random() * 10.0**exponent
            self.assertEqual(seconds, read_duration(write_duration(seconds)))

    def test_sizes(self) -> None:
        """Sizes are bytes: powers of 1024 with an i, of 1000 without, and a bare number is bytes."""
        sizes = {"1B": 1, "64KiB": 65536, "1MiB": 1048576, "2GiB": 2**31, "8kB": 8000, "3MB": 3000000, "12": 12}
        for text, size in sizes.items():
            self.assertEqual(size, read_size(text))
            self.assertEqual(size, read_size(write_size(size)))
        self.assertEqual(("64KiB", "1MiB", "2GiB", 1000), tuple(map(write_size, (65536, 2**20, 2**31, 1000))))

    def test_bad_durations(self) -> None:
        """A duration without a unit, of nothing, or of anything else is refused with what to write."""
        examples = 'write a duration such as "300ms", "10s", "2m" or "1h"'
        for value, says in {
            "10": '10 has no unit; write "10s"',
            "0.5": '0.5 has no unit; write "0.5s"',
            "-1": '-1 has no unit; write "10s"',
            "inf": 'inf has no unit; write "10s"',
            "nan": 'nan has no unit; write "10s"',
            '"10"': '"10" has no unit; write "10s"',
            '"0s"': f'"0s" is not more than zero; {examples}',
            '"-1s"': f'"-1s" is no duration; {examples}',
            '"infs"': f'"infs" is no duration; {examples}',
            '"1m30s"': f'"1m30s" is no duration; {examples}',
            '"٣s"': f'"٣s" is no duration; {examples}',
            '"1e3s"': f'"1e3s" is no duration; {examples}',
            '""': f'"" is no duration; {examples}',
            '"none"': f'"none" is no duration; {examples}',
            '"3 days"': '"3 days" has an unknown unit; units are ms, s, m and h',
            '"1S"': '"1S" has an unknown unit; units are ms, s, m and h',
            "true": f"must be a duration, not a boolean; {examples}",
            "[]": f"must be a duration, not an array; {examples}",
            "1979-05-27": f"must be a duration, not a date or time; {examples}",
            f'"{"9" * 400}s"': f"is not finite; {examples}",
        }.items():
            self.problems(f"[timeouts]\nacquire = {value}", f"f:2: timeouts.acquire: {says}")

    def test_bad_sizes(self) -> None:
        """A size of nothing, in parts of bytes, or with an ambiguous unit is refused with what to write."""
        for value, says in {
            '"8KB"': '"8KB" may mean two things; write "8KiB" (8192) or "8kB" (8000)',
            '"8M"': '"8M" may mean two things; write "8MiB" (8388608) or "8MB" (8000000)',
            '"8kib"': '"8kib" has an unknown unit; did you mean "KiB"?',
            '"1.5MiB"': '"1.5MiB" is no size; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            "0": '0 is not more than zero; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            '"0KiB"': '0 is not more than zero; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            "1.5": 'must be a size, not a float; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            "true": 'must be a size, not a boolean; write a number of bytes, or a size such as "64KiB" or "1MiB"',
        }.items():
            self.problems(f"[limits]\ntrailers = {value}", f"f:2: limits.trailers: {says}")
        self.assertEqual(1, len(load(f'[limits]\ntrailers = "{"9" * 5000}KiB"', "f", {}).problems))

    def test_bad_counts(self) -> None:
        """A count is a whole number above zero; true is none."""
        for value, says in {
            "0": "0 is not more than zero",
            "-5": "-5 is not more than zero",
            "true": "must be a whole number, not a boolean",
            "1.0": "must be a whole number, not a float",
            '"5"': "must be a whole number, not a string",
            "0x" + "f" * 5000: "is beyond 64 bits",
        }.items():
            self.problems(f"[limits]\npool = {value}", f"f:2: limits.pool: {says}; write a number such as 100")
