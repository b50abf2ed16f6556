# -*- test-case-name: tests.configfile.test_pieces -*-
"""
Tests for L{lproxy.configfile.pieces}: it says what C{tomllib} does, or nothing.
"""

from __future__ import annotations

import tomllib
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile import pauses, pieces
from lproxy.configfile.pauses import BURST, pausing
from lproxy.configfile.pieces import PIECE, read_pieces
from tests.configfile.test_pauses import FakeTime

TOP = '[admin]\naddress = ""\n'


def services(*numbers: int) -> str:
    return "".join(f'[services."s{n}:80"]\nendpoints = ["10.0.0.1:{n + 1}"]\n' for n in numbers)


#: what files are put together of, good and bad
PARTS = (
    TOP,
    '[[listen]]\nname = "a"\n',
    '[[listen]]\nname = "b"\n',
    "[listen.http]\nx = 1\n",
    "workers = 2\n",
    "services = {}\n",
    "services.a.b = 1\n",
    "[services]\n",
    "  [ 'services' ]\n",
    "[[services]]\n",
    '[services."s1:80".routes.r]\npath = "/"\n',
    '[services."s2:80".health]\n',
    'text = """\n[services."s1:80"]\n"""\n',
    'text = """\n',
    "text = '''\n",
    "rows = [\n",
    "[1],\n]\n",
    "]\n",
    "# a line\n",
    "[services.bare]\nendpoints = []\n",
    '[services."es\\u0061"]\n',
    "\r\n",
)


class PiecesTests(SynchronousTestCase):
    """Long files."""

    def test_long(self) -> None:
        """Many services are read in pieces, in their order, with pauses between those."""
        text = f"{TOP}{services(*range(5 * PIECE))}[[listen]]\nname = 'a'\n"
        self.patch(pauses, "time", clock := FakeTime(BURST))
        with pausing():
            found = read_pieces(text)
        whole = tomllib.loads(text)
        self.assertEqual(whole, found)
        assert found is not None
        self.assertEqual([list(whole), list(whole["services"])], [list(found), list(found["services"])])  # type: ignore[call-overload]
        self.assertGreater(len(clock.slept), 4)

    def test_short(self) -> None:
        """What has no service in a line of its own is read as a whole."""
        self.assertEqual([None, None], [read_pieces(text) for text in (TOP, "")])

    def test_together(self) -> None:
        """What means something only as a whole is read so, or refused."""
        self.patch(pieces, "PIECE", 1)
        for text in (
            # given twice
            services(1, 2, 1),
            f"{TOP}{services(1)}{TOP}",
            # added to
            f'{services(1, 2)}[services."s1:80".routes.r]\n',
            f"[[listen]]\n{services(1)}[listen.http]\n",
            f"[services]\n{services(1)}",
            f"services = {{}}\n{services(1)}",
            # no headers
            f'x = """\n{services(1)}"""\n',
            f"x = [\n{services(1)}]\n",
            # wrong
            f"{services(1)}x = = 1\n",
        ):
            self.assertIsNone(read_pieces(text), text)

    def test_random(self) -> None:
        """Whatever a file is made of, it is what tomllib says of it, if anything."""
        self.patch(pieces, "PIECE", 1)
        random, read = Random(5), 0
        for _ in range(2_000):
            text = "".join(
                random.choice((random.choice(PARTS), services(random.randrange(6))))
                for _ in range(random.randrange(1, 7))
            )
            found = read_pieces(text)
            if found is not None:
                read += 1
                try:
                    whole = tomllib.loads(text)
                except tomllib.TOMLDecodeError as error:
                    self.fail(f"{error}: {text}")
                self.assertEqual(whole, found, text)
        self.assertGreater(read, 100)
