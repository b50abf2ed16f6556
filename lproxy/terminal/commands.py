# -*- test-case-name: tests.terminal.test_commands -*-
"""
The commands C{lproxy top} and C{lproxy tap}: a running proxy, watched in a terminal.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from lproxy.admin.asking import why
from lproxy.app.signals import undo
from lproxy.config import Admin
from lproxy.terminal import top as picture
from lproxy.terminal.asking import conversation, opened, secure
from lproxy.terminal.line import line
from lproxy.terminal.screen import Screen, look
from lproxy.terminal.text import clean

#: seconds between two pictures, and for the admin server's answer
INTERVAL, ANSWER = 2.0, 10.0
#: for how many seconds an admin server that has ended a tap may be silent until another is in its place, and between
#: two times that it is asked
RESTART, AGAIN = 10.0, 0.5
#: what pictures are sorted by, as the page's C{?sort=} has it
SORTS: Final = ("name", "requests", "success", "p50", "p95", "p99", "in-flight", "waiting")


def add(commands: Any, environ: Mapping[str, str]) -> None:
    """
    Both of them.

    @param environ: what it says of the terminal
    """
    command = commands.add_parser("top", help="what a running proxy is doing, every two seconds, until Ctrl-C")
    command.add_argument("admin", metavar="ADMIN", nargs="?", default=Admin().address, help=f"else {Admin().address}")
    command.add_argument("--once", action="store_true", help="one picture, of two seconds")
    command.add_argument("-q", "--filter", metavar="WORDS", default="", help="only what has this in its name")
    command.add_argument("-s", "--sort", metavar="COLUMN", choices=SORTS, default="", help=", ".join(SORTS))
    secure(command)
    command.set_defaults(run=top, environ=environ)
    command = commands.add_parser("tap", help="requests and connections of a running proxy, a line for each as it ends")
    command.add_argument("admin", metavar="ADMIN", nargs="?", default=Admin().address, help=f"else {Admin().address}")
    for name, metavar, what in FILTERS:
        command.add_argument(f"--{name}", metavar=metavar, help=what, type=statuses if name == "status" else str)
    command.add_argument("-n", "--count", metavar="N", type=some, help="end after so many")
    command.add_argument("--json", action="store_true", help="as JSON, with everything that the access log has")
    secure(command)
    command.set_defaults(run=tap, environ=environ)


#: what lines may be asked for by, as C{/tap} has it
FILTERS: Final = (
    ("service", "WEB", "what has this in the name of its service"),
    ("status", "5xx", "what was answered with this: 503, 5xx, or several with commas; 0: with nothing"),
    ("listener", "NAME", "what came to this listener"),
    ("kind", "KIND", "request or connection"),
    ("protocol", "NAME", "what speaks this"),
    ("method", "GET", "requests with this method"),
    ("path", "/a", "requests whose paths begin with this"),
    ("route", "NAME", "requests that took this route"),
    ("client", "IP", "what has this in the client's address"),
    ("identity", "NAME", "what has this in the client's identity"),
    ("upstream", "IP", "what has this in the endpoint's address"),
)


def statuses(text: str) -> str:
    """C{text}, which no row would match if it were something else."""
    if re.fullmatch(r"(0|[1-9][0-9x]{2})(,(0|[1-9][0-9x]{2}))*", text.lower()) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no status: write 503, 5xx, or several with commas")
    return text


def some(text: str) -> int:
    """How many."""
    number = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines: write 1 or more")
    return number


def tell(text: str) -> None:
    """What went wrong, beside what is shown."""
    print(f"lproxy: {text}", file=sys.stderr)


def tap(arguments: argparse.Namespace) -> int:
    """Show lines; C{1} where there is nobody to ask, or who is asked ends it and nobody comes in its place."""
    undo()
    try:
        return _Tap(arguments).run()
    except KeyboardInterrupt:
        return 0


class _Tap:
    """Lines, also of who takes the place of the one that they came from."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from urllib.parse import urlencode

        wanted = {name: getattr(arguments, name) for name, _, _ in FILTERS if getattr(arguments, name)}
        self._page = f"tap?{urlencode(wanted)}"
        self._arguments = arguments
        self._paint = look(sys.stdout, arguments.environ).paint
        self._left: int | None = arguments.count

    def run(self) -> int:
        """Until enough is shown; the command's status."""
        from http.client import HTTPException
        from urllib.error import HTTPError

        admin, until = self._arguments.admin, 0.0
        while True:
            try:
                answer = opened(admin, self._page, None, self._arguments)
            except HTTPError as e:
                tell(f"{admin}: {clean(e.read().decode('utf-8', 'replace').strip())}")
                return 1
            except (OSError, ValueError, HTTPException) as e:
                if time.monotonic() < until:
                    time.sleep(AGAIN)
                    continue
                tell(f"{admin} does not answer: {clean(why(e))}")
                return 1
            if until:
                tell(f"{admin} answers again")
            with answer:
                if self._read(answer):
                    return 0
            tell(f"{admin} has ended it; it is asked again, for {RESTART:g} s")
            until = time.monotonic() + RESTART

    def _read(self, answer: Any) -> bool:
        """Show what comes, until there is no more; whether that was enough."""
        from http.client import HTTPException

        while self._left != 0:
            try:
                said = answer.readline()
                if not said.endswith(b"\n"):
                    # it was ended, perhaps within a line
                    return False
                row = json.loads(said) if said.strip() else None
            except (OSError, ValueError, HTTPException):
                return False
            if isinstance(row, dict):
                self._show(row)
        return True

    def _show(self, row: dict[str, Any]) -> None:
        now = time.time()
        clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03}"
        print(json.dumps(row) if self._arguments.json else line(row, clock, self._paint), flush=True)
        if self._left is not None:
            self._left -= 1


def top(arguments: argparse.Namespace) -> int:
    """Show pictures; C{1} where there is nobody to ask. On a terminal, who was there once is asked again and again."""
    undo()
    try:
        with Screen(sys.stdout, arguments.environ, arguments.once) as screen:
            return _Top(arguments, screen).run()
    except KeyboardInterrupt:
        return 0


class _Top:
    """Pictures."""

    def __init__(self, arguments: argparse.Namespace, screen: Screen) -> None:
        from urllib.parse import urlencode

        query = {"q": arguments.filter, "sort": arguments.sort}
        self._page = f"overview.json?{urlencode({name: value for name, value in query.items() if value})}"
        self._arguments = arguments
        self._screen = screen
        self._conversation = conversation(arguments.admin, ANSWER, arguments)

    def run(self) -> int:
        """Until Ctrl-C, or one of them; the command's status."""
        from http.client import HTTPException

        shown: dict[str, Any] | None = None
        trouble = ""
        while True:
            try:
                shown = self._ask()
                if self._arguments.once:
                    # the first answer is of all time
                    self._screen.wait(INTERVAL)
                    shown = self._ask()
                trouble = ""
            except BrokenPipeError:
                raise
            except (OSError, ValueError, HTTPException) as e:
                said = f"{self._arguments.admin} does not answer: {clean(why(e))}"
                if shown is None or not self._screen.moves:
                    tell(said)
                    return 1
                trouble = trouble or f"{said}; this is of {time.strftime('%H:%M:%S')}, and it is asked again"
            self._show(shown, trouble)
            if self._arguments.once:
                return 0
            # it says itself how often it is asked
            self._wait(max(INTERVAL, float(shown.get("interval", 0))), shown, trouble)

    def _ask(self) -> dict[str, Any]:
        shown = json.loads(self._conversation.ask(self._page))
        if not isinstance(shown, dict) or not shown.keys() >= picture.PARTS:
            raise ValueError("what is there is no admin server of this lproxy")
        return shown

    def _show(self, shown: dict[str, Any], trouble: str) -> None:
        screen = self._screen
        screen.show(picture.lines(shown, screen.paint, screen.size(), time.time(), trouble))

    def _wait(self, seconds: float, shown: dict[str, Any], trouble: str) -> None:
        until = time.monotonic() + seconds
        while self._screen.wait(max(0.0, until - time.monotonic())):
            self._show(shown, trouble)
