# -*- test-case-name: tests.profiles.test_files -*-
"""
Files of profiles, and what they were: found by path, folder or pattern, and seen when they change.

Nobody needs to be told how files are replaced: written in place, renamed over, or behind symbolic links that are
swapped, as in Kubernetes' volumes. What changes is read once it has kept still from one look to the next, so that
nothing is read that is half written; and what is replaced again and again, by renaming, now and then all the same.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lproxy.configfile.problem import Problem
from lproxy.profiles import ENDS
from lproxy.profiles.read import Pages, Within, in_steps, too_long
from lproxy.stamp import Stamp, stamp

#: looks that a file may change at before it is read as it is, if it is replaced and not written to
PATIENCE: Final = 5
#: files of one configuration
MAX_FILES: Final = 10_000


def found(patterns: Sequence[str], folders: dict[str, list[str]] | None = None) -> tuple[list[str], list[Problem]]:
    """
    The files that C{patterns} name, each a file, a folder, or a pattern of the shell's; and what is wrong with those.

    A file that is named, and is not there, is among them: it was, or will be.

    @param folders: what was in folders before, which is kept up: of one that is not there for the moment, or cannot be
        listed, nobody has taken the files away
    """
    paths: dict[str, None] = {}
    problems: list[Problem] = []
    folders = {} if folders is None else folders
    for pattern in patterns:
        if pattern in folders or os.path.isdir(pattern):
            wrong = f"has no file that ends in {', '.join(ENDS)}"
            try:
                own = folders[pattern] = _listed(pattern)
            except OSError as error:
                own = folders.get(pattern, [])
                problems.append(Problem("error", pattern, None, "", f"cannot be listed: {error.strerror or error}"))
        elif glob.has_magic(pattern) and not os.path.exists(pattern):
            own = sorted(path for path in glob.glob(pattern, recursive=True) if not os.path.isdir(path))
            wrong = "fits no file"
        else:
            own, wrong = [pattern], ""
        if not own:
            problems.append(Problem("warning", pattern, None, "", wrong))
        paths.update(dict.fromkeys(own))
    if len(paths) > MAX_FILES:
        wrong = f"{len(paths)} files, and {MAX_FILES} are the most: the others are not read"
        problems.append(Problem("error", patterns[0], None, "", wrong))
    return list(paths)[:MAX_FILES], problems


def _listed(folder: str) -> list[str]:
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    return [os.path.join(folder, name) for name in names if name.endswith(ENDS)]


def unreadable(file: str, why: object) -> Pages:
    """What there is to say of a file that cannot be read."""
    return Pages(file, (), (Problem("error", file, None, "", f"cannot be read: {why}"),))


class Watched:
    """
    One file.

    @ivar good: what it said when it was last right; C{None}: it never was
    @ivar latest: what it says now, be it right or wrong
    @ivar pending: whether it has changed, and is to be read
    """

    __slots__ = ("_changes", "_read", "_seen", "good", "latest", "path", "pending")

    def __init__(self, path: str) -> None:
        self.path = path
        self.good: Pages | None = None
        self.latest: Pages | None = None
        self.pending = False
        #: what it was when it was read, and at the last look
        self._read: Stamp | None = None
        self._seen: Stamp | None = None
        self._changes = 0

    def __repr__(self) -> str:
        return f"<Watched {self.path}{' pending' if self.pending else ''}>"

    def copy(self) -> Watched:
        """One that goes on from here by itself."""
        copy = Watched(self.path)
        copy.good, copy.latest, copy.pending = self.good, self.latest, self.pending
        copy._read, copy._seen, copy._changes = self._read, self._seen, self._changes
        return copy

    @property
    def restless(self) -> bool:
        """Whether it has been another at each look for long."""
        return self._changes > 2 * PATIENCE

    def look(self, insist: bool = False) -> bool:
        """
        See whether it has changed, and is to be read now.

        @param insist: at the start, and when somebody asks: it is read as it is
        """
        now = stamp(self.path)
        before, self._seen = self._seen, now
        if insist:
            return True
        if now == self._read and self.latest is not None:
            self.pending, self._changes = False, 0
            return False
        self.pending = True
        if now == before:
            return True
        self._changes += 1
        # whoever renames a file over this one has written it before
        replaced = now is not None and before is not None and now[:2] != before[:2]
        return replaced and self._changes > PATIENCE

    def read(self, within: Within) -> Iterator[None]:
        """Read it, bit by bit. Once it is over, L{latest} says what came of it."""
        before = stamp(self.path)
        try:
            there = os.stat(self.path)
            # before it is opened: a pipe would have us wait
            regular = stat.S_ISREG(there.st_mode)
            pages = too_long(self.path, there.st_size) if regular else unreadable(self.path, "is no file")
            content = Path(self.path).read_bytes() if pages is None else b""
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            pages, content = unreadable(self.path, getattr(error, "strerror", None) or error), b""
        if stamp(self.path) != before:
            return  # it was written to meanwhile: see the next look
        if pages is None:
            for step in in_steps(self.path, content, within, self.good.described if self.good is not None else ()):
                pages = step
                yield
        assert pages is not None
        self._read, self._changes, self.pending = before, 0, False
        self.latest = pages
