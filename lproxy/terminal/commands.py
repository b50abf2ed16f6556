# -*- test-case-name: tests.terminal.test_commands -*-
"""
The commands C{lproxy top} and C{lproxy tap}: a running proxy, watched in a terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from typing import Any, Final

from lproxy.config import Admin
from lproxy.terminal import top as picture
from lproxy.terminal.asking import ask, secure

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
        # whoever read it has had enough; Python would complain once more as it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ValueError, HTTPException) as e:
        print(f"lproxy: {arguments.admin} does not answer: {e}", file=sys.stderr)
        return 1
