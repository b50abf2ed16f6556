# -*- test-case-name: tests.identity.test_rotation -*-
"""
What is read from files and replaced there while we run: noticed, read whole, checked, and only then in use.

Whatever is wrong with the new one, the old one stays. Nobody needs to be told how files are replaced: written in place,
renamed over, or behind symbolic links that are swapped, as in Kubernetes' volumes. Half of a change (the certificate is
new, its key is not yet) is seen now and then; so what is wrong is told when it is still wrong at the next look.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, Generic, NamedTuple, TypeVar

from lproxy.identity.material import Material
from lproxy.identity.pem import MaterialError
from lproxy.stamp import stamp

T = TypeVar("T")

#: what files and folders were, for comparison alone
Stamps = tuple[object, ...]

#: of a certificate's life, what is left when somebody should know
LAST_THIRD, LAST_TENTH, EXPIRED = STAGES = (1, 2, 3)
WORDS: Final = {
    LAST_THIRD: "is in the last third of its life",
    LAST_TENTH: "is about to expire",
    EXPIRED: "has expired",
}


def stamps(paths: Iterable[str]) -> Stamps:
    """What is at C{paths}, behind all links: others whenever a file, or a folder's contents, are others."""
    return tuple(_stamps(path) for path in paths)


def _stamps(path: str) -> Stamps:
    if not os.path.isdir(path):
        return (path, stamp(path))
    try:
        return (path, *(_stamps(f"{path}/{name}") for name in sorted(os.listdir(path)) if name[0] != "."))
    except OSError as error:
        return (path, str(error))


def stage(material: Material, now: datetime) -> int:
    """How far C{material} is in its life: 0, or one of L{STAGES}."""
    left = material.not_after - now
    life = material.not_after - material.not_before
    if left.total_seconds() < 0:
        return EXPIRED
    if left * 10 < life:
        return LAST_TENTH
    return LAST_THIRD if left * 3 < life else 0


class Change(NamedTuple):
    """
    What a look has found.

    @ivar name: of the source
    @ivar error: why what is in the files now is not used; C{None}: it is
    """

    name: str
    error: MaterialError | None = None


class Source(Generic[T]):
    """
    Something that is read from files.

    @ivar name: in logs and metrics
    @ivar value: the latest that was good; C{None} where none was yet
    @ivar error: why what is in the files now is not used; C{None} where it is
    @ivar mark: equal for two values that are the same
    """

    def __init__(
        self, name: str, files: Callable[[], Iterable[str]], load: Callable[[datetime], T], mark: Callable[[T], str]
    ) -> None:
        """
        @param files: all that it depends on; folders are looked into
        @param load: reads and checks it, given the time; raises L{MaterialError}
        """
        self.name = name
        self.value: T | None = None
        self.error: MaterialError | None = None
        self._files = files
        self._load = load
        self.mark = mark
        self._stamps: Stamps | None = None
        self._told = ""

    def __repr__(self) -> str:
        return f"<Source {self.name}{f', refused: {self.error}' if self.error else ''}>"

    def look(self, now: datetime, insist: bool = False) -> Change | None:
        """
        See whether it has changed, and use what is new where that is good.

        @param insist: read it in any case, and tell at once what is wrong: at the start, and when somebody asks
        """
        # before it is read: what is written while we read is seen next time
        before = stamps(self._files())
        if before == self._stamps and self.error is None and not insist:
            return None
        self._stamps = before
        try:
            value = self._load(now)
        except MaterialError as error:
            return self._refused(error, insist)
        self.error, self._told = None, ""
        if self.value is not None and self.mark(value) == self.mark(self.value):
            return None
        self.value = value
        return Change(self.name)

    def _refused(self, error: MaterialError, insist: bool) -> Change | None:
        before, self.error = self.error, error
        text = str(error)
        again = before is not None and str(before) == text
        if not insist and (not again or self._told == text):
            return None
        self._told = text
        return Change(self.name, error)
