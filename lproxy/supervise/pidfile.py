# -*- test-case-name: tests.supervise.test_pidfile -*-
"""
The file that names the process that serves: whoever reads it finds one at any moment, also while another takes its
place.
"""

from __future__ import annotations

import os


def write(path: str) -> None:
    """Have the file at C{path} name this process; raises OSError."""
    ours = str(os.getpid())
    fresh = f"{path}.{ours}"
    try:
        with open(fresh, "w") as file:
            file.write(ours)
        os.replace(fresh, path)
    except OSError:
        _unlink(fresh)
        # the folder is root's, and privileges were shed: the file itself may still be ours
        with open(path, "w") as file:
            file.write(ours)


def ours(path: str) -> bool:
    """Whether it still names this process."""
    try:
        with open(path) as file:
            return file.read().strip() == str(os.getpid())
    except OSError:
        return False


def remove(path: str) -> None:
    """Remove it, if it names this process; harmless where it cannot be."""
    if ours(path):
        _unlink(path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
