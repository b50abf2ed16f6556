# -*- test-case-name: tests.test_components -*-
"""
What a test needs that may not be there: programs, packages, root, a kernel that permits.

On a developer's machine such a test is skipped, and says why. With C{LPROXY_DENY_WARNINGS} set, as C{.ci/run} sets it,
it fails: there everything is there, or CI is broken.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable
from typing import NoReturn
from unittest import SkipTest


def missing(reason: str) -> NoReturn:
    """The running test cannot be run here, for C{reason}."""
    if os.environ.get("LPROXY_DENY_WARNINGS"):
        raise AssertionError(f"cannot be skipped with LPROXY_DENY_WARNINGS: {reason}")
    raise SkipTest(reason)


def require(*commands: str, packages: Iterable[str] = (), root: bool = False) -> None:
    """Go on only where all of C{commands} and Python's C{packages} are installed, and we are root if C{root}."""
    for command in commands:
        if shutil.which(command) is None:
            missing(f"{command} is not installed")
    for package in packages:
        if not installed(package):
            missing(f"the Python package {package} is not installed")
    if root and os.geteuid() != 0:
        missing("needs root")


def installed(package: str) -> bool:
    """Whether C{package}, which may be part of another, could be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        # not even what it is part of
        return False
