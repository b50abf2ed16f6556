# -*- test-case-name: tests.protocols.http.profile.test_edit -*-
"""
What a route changes of the fields of its requests and answers.

That no edit touches what is a connection's own is seen to where a profile is read (L{lproxy.edits}).
"""

from __future__ import annotations

from lproxy.profile import Fields
from lproxy.protocols.http.message import Headers


class Edit:
    """L{Fields}, ready for the heads of both versions: HTTP/2 has names in lower case, HTTP/1 as they were written."""

    __slots__ = ("_added", "_added_lower", "_removed", "_set", "_set_lower", "_touches")

    def __init__(self, fields: Fields) -> None:
        self._set: dict[bytes, tuple[bytes, bytes]] = {field[0].lower(): field for field in map(_encoded, fields.set)}
        self._set_lower: dict[bytes, tuple[bytes, bytes]] = {name: (name, v) for name, (_, v) in self._set.items()}
        self._added: Headers = [_encoded(field) for field in fields.add]
        self._added_lower: Headers = [(name.lower(), value) for name, value in self._added]
        self._removed: frozenset[bytes] = frozenset([name.lower().encode("ascii") for name in fields.remove])
        #: whether it asks what there is already
        self._touches: bool = bool(self._set or self._removed)

    def apply(self, headers: Headers, lower: bool) -> Headers:
        """
        C{headers} as they are to be; they themselves stay as they are.

        @param lower: whether all their names are in lower case, and have to be
        """
        added = self._added_lower if lower else self._added
        if not self._touches:
            return headers + added
        missing = dict(self._set_lower if lower else self._set)
        removed, known = self._removed, self._set
        kept: Headers = []
        for field in headers:
            name = field[0] if lower else field[0].lower()
            if name in removed:
                continue
            if name in known:
                # the first one's place is taken, and the others are gone
                new = missing.pop(name, None)
                if new is None:
                    continue
                field = new
            kept.append(field)
        kept.extend(missing.values())
        return kept + added


def edit(fields: Fields | None) -> Edit | None:
    """What C{fields} change; C{None}: nothing."""
    return Edit(fields) if fields is not None and (fields.set or fields.add or fields.remove) else None


def _encoded(field: tuple[str, str]) -> tuple[bytes, bytes]:
    name, value = field
    return name.encode("ascii"), value.encode("utf-8")
