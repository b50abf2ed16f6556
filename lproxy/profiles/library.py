# -*- test-case-name: tests.profiles.test_library -*-
"""
All files of one configuration, what is wrong with them, and the book of what is right.

A file that is not right is not used, nor any part of it: what it said before still is. So is one that, right by itself,
does not go together with others.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from typing import Final, NamedTuple

from lproxy.config import Service
from lproxy.configfile.problem import Problem
from lproxy.profiles.book import Book
from lproxy.profiles.conflicts import conflicts, oddities
from lproxy.profiles.described import Described
from lproxy.profiles.files import Watched, found
from lproxy.profiles.read import Pages, Within

#: files that are looked at between two turns of others
TURN: Final = 100


class Change(NamedTuple):
    """
    What a look has found.

    @ivar errors: why what is in the file now is not used; none: it is
    @ivar gone: whether there is no such file any more
    """

    file: str
    errors: tuple[Problem, ...] = ()
    gone: bool = False


class Library:
    """
    Those of one configuration.

    @ivar book: what is in use
    @ivar files: each, by its path
    @ivar refused: by path, why what is in a file is not used
    """

    def __init__(
        self, patterns: Sequence[str], within: Within, services: Mapping[str, Service], before: Library | None = None
    ) -> None:
        """
        @param patterns: what names the files
        @param services: those of the configuration
        @param before: that of the configuration which this one follows: what it has read is not read again
        """
        self._patterns = tuple(patterns)
        self._within = within
        self._services = services
        taken = before is not None and before._within == within
        # copies: what one has seen is no other's business, and this may be used after all or not
        self.files: dict[str, Watched] = (
            {path: one.copy() for path, one in before.files.items()} if before is not None and taken else {}
        )
        self.book: Book = Book((), within, services, before.book if before is not None else None)
        # what has been told of is not told of again
        self.refused: dict[str, tuple[Problem, ...]] = dict(before.refused) if before is not None and taken else {}
        #: what is in use of each file
        self._used: dict[str, Pages] = dict(before._used) if before is not None and taken else {}
        #: files that were not there at the last look
        self._missing: set[str] = set()
        #: what was in each folder when it was last there
        self._folders: dict[str, list[str]] = {}
        #: what is wrong with the names of files
        self._patterns_wrong: tuple[Problem, ...] = ()
        self._made = False

    def __repr__(self) -> str:
        return f"<Library {len(self.files)} files, {len(self.refused)} refused>"

    @property
    def pending(self) -> bool:
        """Whether there is a file that has changed, and is to be read when it keeps still."""
        return bool(self._missing) or any(one.pending for one in self.files.values())

    def restless(self) -> list[str]:
        """Files that are written to all the time, and so are not read."""
        return [path for path, one in self.files.items() if one.restless]

    def uses(self, path: str) -> bool:
        """Whether something of that file's is in use."""
        return path in self._used

    def warnings(self, path: str) -> list[Problem]:
        """What is odd in that file, as it is in use."""
        pages = self._used.get(path)
        return [one for one in pages.problems if one.severity == "warning"] if pages is not None else []

    def problems(self) -> list[Problem]:
        """Everything that is wrong, or odd, as of the latest look."""
        every = dict.fromkeys(self._patterns_wrong)
        for path, watched in self.files.items():
            every.update(dict.fromkeys(watched.latest.problems if watched.latest is not None else ()))
            every.update(dict.fromkeys(self.refused.get(path, ())))
        every.update(dict.fromkeys(oddities(_described(self._used), self._services, self._within.namespace)))
        for name, hosts in self.book.ambiguous().items():
            wrong = f"{name} alone may be any of {', '.join(hosts)}, and is none of them"
            right = 'write which namespace is meant: [profiles] namespace = "..."'
            every[Problem("warning", hosts[0], None, "", wrong, right)] = None
        return list(every)

    def look(self, insist: bool = False) -> Generator[None, None, list[Change]]:
        """
        See what has changed, step by step; between the steps there is time for others.

        @param insist: read everything, at once: at the start
        @return: what is new, or is not used for the first time
        """
        paths, wrong = found(self._patterns, self._folders)
        self._patterns_wrong = tuple(wrong)
        changes = self._forget(paths, insist)
        read = []
        for number, path in enumerate(paths, 1):
            if number % TURN == 0:
                yield
            watched = self.files.get(path)
            if watched is None:
                watched = self.files[path] = Watched(path)
            if watched.look(insist and watched.latest is None):
                yield from watched.read(self._within)
                read.append(path)
        if read or changes or not self._made:
            self._made = True
            changes += yield from self._use()
        return changes

    def _forget(self, paths: list[str], insist: bool) -> list[Change]:
        """Files that are gone for two looks are; whoever moves them aside for a moment has not taken them away."""
        gone = self.files.keys() - set(paths)
        over = gone if insist else gone & self._missing
        self._missing = gone - over
        changes = []
        for path in sorted(over):
            del self.files[path]
            self.refused.pop(path, None)
            # what was not there when it was named, and turned out to be a folder, has never been a file
            if self._used.pop(path, None) is not None or not os.path.isdir(path):
                changes.append(Change(path, gone=True))
        return changes

    def _use(self) -> Generator[None, None, list[Change]]:
        """Make a book of what is right, step by step; what was in use is until that is done."""
        before = self._used
        used: dict[str, Pages] = {}
        refused: dict[str, tuple[Problem, ...]] = {}
        for path, watched in self.files.items():
            latest = watched.latest
            if latest is not None and latest.errors:
                refused[path] = latest.errors
            elif latest is not None:
                watched.good = latest
            good = watched.good
            if good is not None:
                # of the same, the same: nothing is built anew for it
                old = before.get(path)
                used[path] = old if old is not None and old.described == good.described else good
        yield
        self._settle(used, refused)
        yield
        self.book = Book(_described(used), self._within, self._services, self.book)
        refused_before, self._used, self.refused = self.refused, used, refused
        changes = []
        for path in self.files:
            if path in refused:
                if refused[path] != refused_before.get(path):
                    changes.append(Change(path, refused[path]))
            elif used.get(path) is not before.get(path) or path in refused_before:
                changes.append(Change(path))
        return changes

    def _settle(self, used: dict[str, Pages], refused: dict[str, tuple[Problem, ...]]) -> None:
        """
        Of those that do not go together, the last one that is new goes back to what it was, or is left out; until the
        rest do.
        """
        before = self._used
        while group := next(conflicts(_described(used), self._services), None):
            new = [one for one in group if used[one.file] is not before.get(one.file)]
            problem = (new or group)[-1]
            path = problem.file
            refused[path] = (*refused.get(path, ()), problem)
            earlier = before.get(path)
            if new and earlier is not None:
                used[path] = earlier
            else:
                del used[path]


def _described(used: Mapping[str, Pages]) -> list[Described]:
    return [one for pages in used.values() for one in pages.described]
