# -*- test-case-name: tests.configfile.profile.test_clocks -*-
"""
Timeouts of routes that never run out.
"""

from __future__ import annotations

from tests.configfile.case import FileTestCase

SERVICE = '[services."a:80"]\nendpoints = ["127.0.0.1:1"]\n[services."a:80".routes.x]\ntimeouts = '


class ClockTests(FileTestCase):
    def test_longer_than_the_whole(self) -> None:
        """What one try may take is part of what all may: more is a warning, with its key and both durations."""
        for key in ("per_try", "response_headers"):
            self.says(
                SERVICE + f'{{ stream = "1s", {key} = "1500ms" }}\n',
                f'f:4: warning: services."a:80".routes.x.timeouts.{key}: 1500ms is more than stream (1s), which ends '
                "it before; lower the one or raise the other",
            )

    def test_of_all_requests(self) -> None:
        """Where a route does not say what the whole may take, that of all requests counts."""
        general = '[timeouts]\nstream = "1s"\n'
        self.says(general + SERVICE + '{ per_try = "2s" }\n', "2s is more than stream (1s)")
        self.good(general + SERVICE + '{ stream = "3s", per_try = "2s" }\n')
        self.good('[timeouts.inbound]\nstream = "1s"\n' + SERVICE + '{ per_try = "2s" }\n')

    def test_shorter(self) -> None:
        """As long, or shorter, or one of them alone, is as it should be."""
        for timeouts in ('stream = "1s", per_try = "1s"', 'stream = "1s"', 'per_try = "1m"', 'response_headers = "1m"'):
            self.good(SERVICE + f"{{ {timeouts} }}\n")
