# -*- test-case-name: tests.configfile.test_main -*-
"""
C{python -m lproxy.configfile}.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile import reference
from lproxy.configfile.__main__ import main
from lproxy.configfile.reference import BEGIN, END


class MainTests(SynchronousTestCase):
    def test_command(self) -> None:
        """python -m lproxy.configfile prints the reference, or writes it into a page."""
        with redirect_stdout(io.StringIO()) as out:
            main([])
        self.assertEqual(reference() + "\n", out.getvalue())
        page = Path(self.mktemp())
        page.write_text(f"{BEGIN}\n{END}\n", "utf-8")
        main(["--write", str(page)])
        self.assertIn(reference(), page.read_text("utf-8"))
