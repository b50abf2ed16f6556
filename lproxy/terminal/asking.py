# -*- test-case-name: tests.terminal.test_asking -*-
"""
Ask the admin server of a running proxy, as a command's arguments say.
"""

from __future__ import annotations

import argparse
from typing import Any

from lproxy.admin import asking


def ask(admin: str, page: str, seconds: float, arguments: argparse.Namespace) -> bytes:
    """As L{lproxy.admin.asking.ask}; C{arguments} have those of L{secure}."""
    return asking.ask(admin, page, seconds, arguments.ca, arguments.certificate, arguments.key)


def opened(admin: str, page: str, seconds: float | None, arguments: argparse.Namespace) -> Any:
    """As L{lproxy.admin.asking.opened}; C{arguments} have those of L{secure}."""
    return asking.opened(admin, page, seconds, arguments.ca, arguments.certificate, arguments.key)


def conversation(admin: str, seconds: float, arguments: argparse.Namespace) -> asking.Conversation:
    """As L{lproxy.admin.asking.Conversation}; C{arguments} have those of L{secure}."""
    return asking.Conversation(admin, seconds, arguments.ca, arguments.certificate, arguments.key)


def secure(command: argparse.ArgumentParser) -> None:
    """The arguments for an admin server that speaks https."""
    command.add_argument("--ca", metavar="FILE", help="PEM: whom to believe that it is, else whom OpenSSL does")
    command.add_argument("--certificate", metavar="FILE", help="PEM: to show where it asks for one (admin.client_ca)")
    command.add_argument("--key", metavar="FILE", help="PEM: its key, where that is not in the same file")
