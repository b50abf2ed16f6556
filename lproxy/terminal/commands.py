# -*- test-case-name: tests.terminal.test_commands -*-
"""
The commands C{lproxy top} and C{lproxy tap}: a running proxy, watched in a terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from typing import Any, Final

from lproxy.config import Admin
from lproxy.terminal import top as picture
from lproxy.terminal.asking import ask, opened, secure, why
from lproxy.terminal.line import line

#: seconds between two pictures, and for the admin server's answer
INTERVAL, ANSWER = 2.0, 10.0
#: what goes before each picture on a terminal: home, and clear from there on (ECMA-48)
CLEAR: Final = "\x1b[H\x1b[2J"
#: lines of a picture that are not services
REST: Final = 14


def add(commands: Any) -> None:
    """Both of them."""
    command = commands.add_parser("top", help="what a running proxy is doing, every two seconds, until Ctrl-C")
    command.add_argument("admin", metavar="ADMIN", nargs="?", default=Admin().address, help=f"else {Admin().address}")
    command.add_argument("--once", action="store_true", help="one picture, of two seconds")
    command.add_argument("-q", "--filter", metavar="WORDS", default="", help="only what has this in its name")
    secure(command)
    command.set_defaults(run=top)
    command = commands.add_parser("tap", help="requests and connections of a running proxy, a line for each as it ends")
    command.add_argument("admin", metavar="ADMIN", nargs="?", default=Admin().address, help=f"else {Admin().address}")
    for name, metavar, what in FILTERS:
        command.add_argument(f"--{name}", metavar=metavar, help=what, type=statuses if name == "status" else str)
    command.add_argument("-n", "--count", metavar="N", type=int, help="end after so many")
    command.add_argument("--json", action="store_true", help="as JSON, with everything that the access log has")
    secure(command)
    command.set_defaults(run=tap)


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


def tap(arguments: argparse.Namespace) -> int:
    """Show lines; C{1} where there is nobody to ask, or who is asked ends it."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import urlencode

    wanted = {name: getattr(arguments, name) for name, _, _ in FILTERS if getattr(arguments, name)}
    paint = picture.coloured if sys.stdout.isatty() else picture.plain
    left = arguments.count
    try:
        with opened(arguments.admin, f"tap?{urlencode(wanted)}", None, arguments) as answer:
            for said in answer:
                if not said.strip():
                    continue
                row = json.loads(said)
                now = time.time()
                clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03}"
                print(json.dumps(row) if arguments.json else line(row, clock, paint), flush=True)
                if left is not None and (left := left - 1) <= 0:
                    return 0
        print(f"lproxy: {arguments.admin} has ended it", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        return _nobody_reads()
    except HTTPError as e:
        print(f"lproxy: {arguments.admin}: {e.read().decode('utf-8', 'replace').strip()}", file=sys.stderr)
        return 1
    except (OSError, ValueError, HTTPException) as e:
        print(f"lproxy: {arguments.admin} does not answer: {why(e)}", file=sys.stderr)
        return 1


def _nobody_reads() -> int:
    """Whoever read it has had enough. Python would complain once more as it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def top(arguments: argparse.Namespace) -> int:
    """Show pictures; C{1} where there is nobody to ask."""
    from http.client import HTTPException
    from urllib.parse import quote

    terminal = sys.stdout.isatty() and not arguments.once
    paint = picture.coloured if sys.stdout.isatty() else picture.plain
    page = f"overview.json?q={quote(arguments.filter)}"
    try:
        # the first answer is of all time
        shown = json.loads(ask(arguments.admin, page, ANSWER, arguments))
        while True:
            if arguments.once:
                time.sleep(INTERVAL)
                shown = json.loads(ask(arguments.admin, page, ANSWER, arguments))
            room = shutil.get_terminal_size().lines - REST if terminal else picture.SERVICES
            text = "\n".join(picture.lines(shown, paint, max(room, 3)))
            print(f"{CLEAR}{text}" if terminal else text, flush=True)
            if arguments.once:
                return 0
            # it says itself how often it is asked
            time.sleep(max(INTERVAL, float(shown.get("interval", 0))))
            shown = json.loads(ask(arguments.admin, page, ANSWER, arguments))
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        return _nobody_reads()
    except (OSError, ValueError, HTTPException) as e:
        print(f"lproxy: {arguments.admin} does not answer: {why(e)}", file=sys.stderr)
        return 1
