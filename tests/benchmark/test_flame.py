# -*- test-case-name: tests.benchmark.test_flame -*-
"""
Folded stacks and their picture.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from benchmark.flame import COLOURS, LEAST, fit, kind, parse, share, svg
from tests.floors_source import ROOT

STACKS = {
    ("main (twisted/__main__.py)", "read (lproxy/transport/socket.py)", "recv (libc.so.6)"): 30,
    ("main (twisted/__main__.py)", "read (lproxy/transport/socket.py)", "parse<T> & more (a.so)"): 10,
    ("main (twisted/__main__.py)", "epoll_wait (libc.so.6)"): 60,
}
SVG = "{http://www.w3.org/2000/svg}"


class ParseTests(SynchronousTestCase):
    """The text."""

    def test_lines(self) -> None:
        """Calls with semicolons between them, and a count; names may have blanks; what is no stack is left out."""
        self.assertEqual(
            {("a (x.py)", "b"): 5, ("c",): 1}, parse(["a (x.py);b 3", "c 1", "a (x.py);b 2", "", "d", "e f"])
        )

    def test_kinds(self) -> None:
        """py-spy's, perf's and --profile-port's names tell whose code it is."""
        for name, want in (
            ("Stream.doRead (lproxy/transport/socket.py:132)", "lproxy"),
            ("lproxy.transport.socket:Stream.doRead", "lproxy"),
            ("doPoll (twisted/internet/epollreactor.py:215)", "twisted"),
            ("twisted.internet.base:ReactorBase.run", "twisted"),
            ("_run_code (<frozen runpy>:65)", "python"),
            ("socket:socket._real_close", "python"),
            ("__main__:<module>", "python"),
            ("abc:ABCMeta.<lambda>", "python"),
            ("send (libc.so.6)", "native"),
            ("_PyEval_EvalFrameDefault (libpython3.13.so.1.0)", "native"),
            ("0x7f368104524a (libc.so.6)", "native"),
        ):
            self.assertEqual(want, kind(name), name)

    def test_share(self) -> None:
        """A stack counts for whoever stands anywhere in it."""
        self.assertAlmostEqual(0.4, share(STACKS, "lproxy"))
        self.assertEqual(1.0, share(STACKS, "twisted"))
        self.assertEqual(0.0, share({}, "lproxy"))


class PictureTests(SynchronousTestCase):
    """The SVG."""

    def test_calls(self) -> None:
        """It is XML, in which every call has its place: as wide as its share, below its caller, in its colour."""
        root = ElementTree.fromstring(svg(STACKS, "a <title> & so on"))
        calls = {call.attrib["data-n"]: call.attrib for call in root.iter(f"{SVG}g")}
        self.assertEqual(
            {"all": (0, 1.0), "main (twisted/__main__.py)": (1, 1.0), "read (lproxy/transport/socket.py)": (2, 0.4)}
            | {"epoll_wait (libc.so.6)": (2, 0.6), "recv (libc.so.6)": (3, 0.3), "parse<T> & more (a.so)": (3, 0.1)},
            {name: (int(call["data-d"]), round(float(call["data-w"]), 6)) for name, call in calls.items()},
        )
        self.assertEqual(COLOURS["lproxy"], calls["read (lproxy/transport/socket.py)"]["data-c"])
        inner, outer = calls["recv (libc.so.6)"], calls["read (lproxy/transport/socket.py)"]
        self.assertGreaterEqual(float(inner["data-x"]), float(outer["data-x"]))
        self.assertIn("100 samples", "".join(root.itertext()))

    def test_small(self) -> None:
        """Calls too narrow to be seen are left out, so that the file stays small."""
        many = {("main", f"f{n}"): 1 for n in range(int(2 / LEAST))}
        self.assertLess(len(svg(many, "many")), 20_000)

    def test_nothing(self) -> None:
        """No stacks are no picture."""
        self.assertRaises(ValueError, svg, {}, "none")

    def test_fit(self) -> None:
        """Of a name what fits: a module goes first, a file is cut off."""
        self.assertEqual("a.b:C.d", fit("a.b:C.d", 7))
        self.assertEqual("C.d", fit("a.b:C.d", 6))
        self.assertEqual("read (lp\u2026", fit("read (lproxy/x.py:3)", 9))
        self.assertEqual("", fit("read", 2))

    def test_command(self) -> None:
        """C{python -m benchmark.flame} draws a file; one without stacks is refused."""
        for text, status in (("lproxy.a:b;lproxy.c:d 7\n", 0), ("nothing\n", 1)):
            path = Path(self.mktemp())
            path.write_text(text)
            command = [sys.executable, "-m", "benchmark.flame", str(path.absolute())]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
            self.assertEqual(status, done.returncode, done.stderr)
            if not status:
                self.assertIn("lproxy.c:d", done.stdout)
                ElementTree.fromstring(done.stdout)
