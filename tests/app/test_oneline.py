# -*- test-case-name: tests.app.test_oneline -*-
"""
L{lproxy.app.oneline}: how a process ends that cannot start.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import oneline
from lproxy.app.assembly import CannotStart


class OneLineTests(SynchronousTestCase):
    """What is printed."""

    def setUp(self) -> None:
        self.err = io.StringIO()
        self.patch(sys, "stderr", self.err)

    def test_one_line(self) -> None:
        """CannotStart ends the process with a line where anything else would have its traceback."""
        self.patch(sys, "excepthook", None)
        self.patch(sys, "__stderr__", self.err)

        def fail() -> None:
            with oneline.one_line():
                raise CannotStart("web: cannot listen on 127.0.0.1:80: Permission denied")

        error = self.assertRaises(CannotStart, fail)
        hook: Any = sys.excepthook
        hook(CannotStart, error, None)
        self.assertEqual("lproxy: web: cannot listen on 127.0.0.1:80: Permission denied\n", self.err.getvalue())
        others: list[Any] = []
        self.patch(sys, "__excepthook__", lambda *args: others.append(args))
        other = KeyError("a bug")
        hook(KeyError, other, None)
        self.assertEqual([(KeyError, other, None)], others)
