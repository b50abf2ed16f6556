# -*- test-case-name: tests.configfile.test_relations -*-
"""
Settings that contradict each other.
"""

from __future__ import annotations

from tests.configfile.case import FileTestCase


class RelationTests(FileTestCase):
    def test_relations(self) -> None:
        """Settings that contradict each other are reported at the one that the file gives."""
        end = "lower the one or raise the other"
        for text, says in {
            '[timeouts]\nbackoff_min = "2m"': 'f:2: timeouts.backoff_min: backoff_min ("2m") is more than backoff_max '
            f'("5s"): the first delay would be past the longest; {end}',
            '[dns]\nttl_max = "1s"': 'f:2: dns.ttl_max: ttl_min ("5s") is more than ttl_max ("1s"): no answer could be '
            f"kept; {end}",
            '[timeouts.outbound]\nacquire = "500ms"': "f:2: warning: timeouts.outbound.acquire: connect "
            '("1s") is more than acquire ("500ms") outbound: attempts to connect are cancelled before they time out; '
            f"{end}",
            '[timeouts]\nresponse_headers = "3s"\nstream = "2s"': "f:2: warning: timeouts.response_headers: "
            'response_headers ("3s") is more than stream ("2s"): the whole stream is ended before it; ' + end,
            '[limits]\nheaders = "1MiB"': 'f:2: warning: limits.headers: headers ("1MiB") is more than buffer '
            f'("64KiB"): reading is paused before all headers have come; {end}',
        }.items():
            self.problems(text, says)

    def test_parts(self) -> None:
        """A limit of the whole proxy that is smaller than the number of workers is theirs by more than it says."""
        self.problems(
            "workers = 4\n[limits]\nconnections = 3\nhandshakes = 4",
            "f:3: warning: limits.connections: 3 is less than workers (4), of which each has at least one; "
            "raise it, or have fewer workers",
        )

    def test_wrong_values_are_not_compared(self) -> None:
        """A value that is wrong by itself is not also compared, by its default, with others."""
        self.says('[dns]\nttl_min = 3\nttl_max = "1s"', "has no unit")

    def test_off_is_never_too_long(self) -> None:
        """What is turned off contradicts nothing."""
        self.good('[timeouts]\nresponse_headers = "3s"')
