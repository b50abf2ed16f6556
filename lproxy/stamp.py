# -*- test-case-name: tests.test_stamp -*-
"""
What tells one state of a file from another, for whoever looks at it now and then.

Looks go by name: a file that another one was renamed over, or a symbolic link that leads elsewhere, as those of
Kubernetes' volumes do, is another file. Nothing is watched by inotify: of network file systems it sees nothing, and of
such volumes the wrong half.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Stamp(NamedTuple):
    """
    What was there, for comparison alone.

    @ivar modified: when its contents were, in nanoseconds; C{changed}: it, or what is known of it
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int


#: of no file: whatever is there is another
NEVER = Stamp(-1, -1, -1, -1, -1)


def stamp(path: str) -> Stamp | None:
    """What is at C{path}, behind all links; C{None}: nothing that can be seen."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return None
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
