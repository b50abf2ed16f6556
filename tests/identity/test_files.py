# -*- test-case-name: tests.identity.test_files -*-
"""
Tests for L{lproxy.identity.files}.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import contexts
from lproxy.identity.contexts import Context
from lproxy.identity.files import Files
from lproxy.identity.in_use import TICKET_KEYS
from lproxy.identity.material import Material
from lproxy.identity.pem import MaterialError
from lproxy.testing.certificates import authority

SHOP = authority()
NOW = datetime.now(UTC)


class FilesTests(SynchronousTestCase):
    """Files and folders of a listener."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.built = 0

    def build(self, one: Material, now: datetime) -> Context:
        """Named after its certificate."""
        self.built += 1
        if one.names == ("unusable.test",):
            raise MaterialError(one.certificate, "unusable", "no")
        return Context(contexts.frontend(one).ssl, one.serial, since=now)

    def issue(self, stem: str, *names: str) -> str:
        """Write a certificate for C{names}; its serial number."""
        leaf = SHOP.issue(*names)
        leaf.write(self.folder, stem)
        return f"{leaf.certificate.serial_number:x}"

    def look(self, files: Files, insist: bool = False, now: datetime = NOW) -> list[tuple[str, str]]:
        """What has changed: the names of files, and reasons."""
        changes = files.look(now, insist)
        return [(Path(one.name).name, one.error.reason if one.error else "") for one in changes if one is not None]

    def serial(self, files: Files, name: str) -> str | None:
        """Which certificate is shown for C{name}."""
        found = files.names.find(name)
        return found.identity if found is not None else None

    def test_folder(self) -> None:
        """In a folder they come, go and are replaced, each by itself."""
        a, b = self.issue("a", "a.test"), self.issue("b", "b.test", "*.b.test")
        files = Files([str(self.folder)], self.build)
        self.assertEqual([("a.pem", ""), ("b.pem", "")], self.look(files, insist=True))
        self.assertEqual([a, b, b], [self.serial(files, name) for name in ("a.test", "b.test", "x.b.test")])
        self.assertEqual([], self.look(files))
        default = files.names.default
        assert default is not None
        self.assertEqual(a, default.identity)
        c = self.issue("c", "c.test")
        b = self.issue("b", "b.test")
        self.assertEqual({("c.pem", ""), ("b.pem", "")}, set(self.look(files)))
        self.assertEqual([a, b, c], [self.serial(files, name) for name in ("a.test", "b.test", "c.test")])
        (self.folder / "a.pem").unlink()
        (self.folder / "a.key").unlink()
        self.assertEqual([], self.look(files))
        self.assertIsNone(self.serial(files, "a.test"))
        self.assertEqual(["b.pem", "c.pem"], [Path(path).name for path, _ in files.materials])

    def test_one_bad(self) -> None:
        """A bad one keeps its old self, a new bad one is not shown, and others go on."""
        a = self.issue("a", "a.test")
        self.issue("b", "b.test")
        files = Files([str(self.folder)], self.build)
        self.look(files, insist=True)
        (self.folder / "a.pem").write_text("")
        SHOP.issue("c.test", lasts=timedelta(hours=-1)).write(self.folder, "c")
        b = self.issue("b", "b.test")
        self.assertEqual([("b.pem", "")], self.look(files))
        # a file without a certificate is none of the folder's at all
        self.assertEqual(b, self.serial(files, "b.test"))
        SHOP.issue("a.test", begins=timedelta(hours=1)).write(self.folder, "a")
        self.look(files)
        self.assertEqual([("a.pem", "not_yet_valid"), ("c.pem", "expired")], sorted(self.look(files, insist=True)))
        self.assertEqual([a, None], [self.serial(files, "a.test"), self.serial(files, "c.test")])

    def test_unusable(self) -> None:
        """What OpenSSL makes nothing of is bad as well."""
        a = self.issue("a", "a.test")
        files = Files([str(self.folder / "a.pem")], self.build)
        self.look(files, insist=True)
        self.issue("a", "unusable.test")
        self.assertEqual([("a.pem", "unusable")], [*self.look(files), *self.look(files)])
        self.assertEqual(a, self.serial(files, "a.test"))

    def test_start(self) -> None:
        """All that is wrong at first is told at once."""
        self.issue("a", "a.test")
        missing = str(self.folder / "none.pem")
        empty = self.folder / "empty"
        empty.mkdir()
        files = Files([str(self.folder / "a.pem"), missing, str(empty)], self.build)
        self.assertEqual(
            [("empty", "no_certificate"), ("a.pem", ""), ("none.pem", "unreadable")], self.look(files, insist=True)
        )

    def test_folder_gone(self) -> None:
        """A folder that cannot be read keeps what it had."""
        a = self.issue("a", "a.test")
        files = Files([str(self.folder)], self.build)
        self.look(files, insist=True)
        self.folder.rename(str(self.folder) + ".old")
        self.look(files)
        self.assertIn((self.folder.name, "unreadable"), self.look(files))
        self.assertEqual(a, self.serial(files, "a.test"))

    def test_ticket_keys(self) -> None:
        """Without a change, contexts are the same, but for when the keys of tickets are old."""
        self.issue("a", "a.test")
        files = Files([str(self.folder / "a.pem")], self.build)
        self.look(files, insist=True)
        first = files.names.find("a.test")
        self.look(files, now=NOW + TICKET_KEYS)
        self.assertIs(first, files.names.find("a.test"))
        self.look(files, now=NOW + TICKET_KEYS + timedelta(seconds=1))
        self.assertIsNot(first, files.names.find("a.test"))

    def test_none(self) -> None:
        """No files: nothing to show."""
        files = Files([], self.build)
        self.assertEqual([], self.look(files, insist=True))
        self.assertIsNone(files.names.default)
