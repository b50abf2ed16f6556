# -*- test-case-name: tests.terminal.test_line -*-
"""
L{lproxy.terminal.line}: a row as a line.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.terminal.line import line
from lproxy.terminal.top import coloured, plain
from tests.admin.test_tapping import ROW

CLOCK = "12:00:00.000"


class LineTests(SynchronousTestCase):
    """For people."""

    def test_request(self) -> None:
        """What was asked, what came of it, how long it took, and who did it to whom."""
        row = {**ROW, "authority": "web.local", "path": "/a", "seconds": 0.0123, "acquire_seconds": 0.002, "tries": 2}
        row |= {"bytes_in": 5, "bytes_out": 7, "flags": "UF", "route": "GET /a"}
        expected = (
            f"{CLOCK}  web  GET web.local/a 503  12.3 ms (2.0 waiting)  5 in, 7 out  "
            "app.mesh -> web.local:80 at 10.0.0.9:80  route GET /a  2 tries  UF"
        )
        self.assertEqual(expected, line(row, CLOCK, plain))
        self.assertIn("\x1b[31m503\x1b[0m", line(row, CLOCK, coloured))
        self.assertIn(f"{CLOCK}  web/3  GET", line({**row, "worker": 3}, CLOCK, plain))
        self.assertIn("200 grpc 14", line({**row, "status": 200, "grpc_status": 14}, CLOCK, plain))

    def test_connection(self) -> None:
        """One that is no request; and what was left out before it."""
        row = {"kind": "connection", "listener": "db", "protocol": "tcp", "client": "10.0.0.1:5", "dropped": 3}
        more, said = line(row, CLOCK, plain).split("\n")
        self.assertEqual("... 3 more, too many to be shown ...", more)
        self.assertEqual(f"{CLOCK}  db  tcp  0 in, 0 out  10.0.0.1:5 -> - at -", said)

    def test_hostile(self) -> None:
        """What peers say cannot tell the terminal anything."""
        row = {**ROW, "authority": "\x1b[2J", "path": "/\r\n", "flags": "\x07", "request_id": "\x1b"}
        self.assertTrue(line(row, CLOCK, plain).isprintable())
