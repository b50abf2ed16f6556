# -*- test-case-name: tests.identity.test_develop -*-
"""
Tests for L{lproxy.identity.develop}.
"""

from __future__ import annotations

import os
import stat
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import develop, material
from lproxy.identity.develop import CannotIssue, init, issue
from lproxy.testing.certificates import authority

NOW = datetime.now(UTC)


class DevelopCase(SynchronousTestCase):
    """A folder with an authority."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        self.said = init(self.folder, "mesh.local", 100, NOW)

    def refused(self, *words: str, names: tuple[str, ...] = ("web",), days: float = 1, force: bool = False) -> None:
        """C{issue} says why not, and writes nothing."""
        before = sorted(os.listdir(self.folder))
        error = self.assertRaises(CannotIssue, issue, self.folder, names, days, NOW, None, force)
        for word in words:
            self.assertIn(word, str(error))
        self.assertEqual(before, sorted(os.listdir(self.folder)))


class InitTests(DevelopCase):
    """An authority."""

    def test_files(self) -> None:
        """Two files, of which the key is its owner's alone; and what to do next."""
        modes = {name: stat.S_IMODE(os.stat(Path(self.folder, name)).st_mode) for name in os.listdir(self.folder)}
        self.assertEqual({"ca.pem": 0o644, "ca.key": 0o600}, modes)
        self.assertIn("CN=mesh.local", self.said[0])
        self.assertIn(f"lproxy identity issue {self.folder}", self.said[-1])

    def test_nothing_overwritten(self) -> None:
        """An authority that is there stays, unless somebody insists."""
        before = Path(self.folder, "ca.pem").read_bytes()
        error = self.assertRaises(CannotIssue, init, self.folder, "mesh.local", 1, NOW)
        self.assertIn("--force", str(error))
        self.assertEqual(before, Path(self.folder, "ca.pem").read_bytes())
        init(self.folder, "mesh.local", 1, NOW, force=True)
        self.assertNotEqual(before, Path(self.folder, "ca.pem").read_bytes())

    def test_bad(self) -> None:
        """Arguments that make no sense, and folders that cannot be written to."""
        for name, days in (("", 1), (" ", 1), ("a\n", 1), ("a", 0), ("a", -1), ("a", 1e9), ("a", float("nan"))):
            self.assertRaises(CannotIssue, init, self.mktemp(), name, days, NOW)
        file = Path(self.mktemp())
        file.touch()
        error = self.assertRaises(CannotIssue, init, str(file), "a", 1, NOW)
        self.assertIn("cannot be written", str(error))


class IssueTests(DevelopCase):
    """Certificates of it."""

    def test_identity(self) -> None:
        """What it writes is an identity as it is, and what it says is the configuration for it."""
        said = issue(self.folder, ["Web.shop.mesh", "10.0.0.1", "spiffe://shop/web"], 7, NOW)
        text = "\n".join(said)
        table = tomllib.loads(text[text.index("[identity]") :])["identity"]
        found = material.identity(table["certificate"], table["key"], material.anchors(table["trust"], NOW), NOW)
        self.assertEqual("spiffe://shop/web", found.identity)
        self.assertEqual(("spiffe://shop/web", "web.shop.mesh", "10.0.0.1"), found.names)
        self.assertEqual((NOW + timedelta(days=7)).replace(microsecond=0), found.not_after)
        self.assertEqual((), found.warnings)
        self.assertEqual("web.shop.mesh.pem", Path(table["certificate"]).name)

    def test_names_of_files(self) -> None:
        """After the first name, without what files are not named after."""
        for name, stem in (("spiffe://shop/ns/web", "shop-ns-web"), ("*.shop.test", "shop.test"), ("::1", "1")):
            issue(self.folder, [name], 1, NOW)
            self.assertTrue(Path(self.folder, f"{stem}.pem").exists(), name)

    def test_elsewhere(self) -> None:
        """Into another folder, which is made."""
        out = Path(self.mktemp(), "deep")
        issue(self.folder, ["web"], 1, NOW, str(out))
        self.assertEqual(["web.key", "web.pem"], sorted(os.listdir(out)))

    def test_nothing_overwritten(self) -> None:
        """Unless somebody insists."""
        issue(self.folder, ["web"], 1, NOW)
        self.refused("web.pem", "web.key", "--force")
        issue(self.folder, ["web"], 1, NOW, force=True)

    def test_not_beyond_the_authority(self) -> None:
        """A certificate does not outlive its authority; one that has expired issues nothing."""
        init(self.folder, "mesh.local", 1, NOW, force=True)
        issue(self.folder, ["web"], 7, NOW)
        found = material.server(str(Path(self.folder, "web.pem")), NOW)
        anchor = material.anchors(str(Path(self.folder, "ca.pem")), NOW).anchors[0]
        self.assertEqual(anchor.not_valid_after_utc, found.not_after)
        error = self.assertRaises(CannotIssue, issue, self.folder, ["b"], 1, NOW + timedelta(days=2))
        self.assertIn("has expired", str(error))

    def test_bad_names(self) -> None:
        """What is no name, and what would be nobody's."""
        for name in ("", "a b", "w*.shop.test", "*.test", "bücher.test", "spiffe://shop", "https://a/b", "../x"):
            self.refused("name", names=(name,)) if "spiffe" not in name else self.refused("SPIFFE", names=(name,))
        self.refused("two SPIFFE IDs", names=("spiffe://shop/a", "spiffe://shop/b"))
        self.refused("days", days=0)

    def test_no_authority(self) -> None:
        """Without one, or with half of one."""
        Path(self.folder, "ca.key").write_bytes(authority().issue("x").key_pem)
        self.refused("ca.key is not the key of ca.pem")
        Path(self.folder, "ca.key").write_bytes(authority().pem)
        self.refused("no certificate and key")
        Path(self.folder, "ca.key").unlink()
        self.refused("No such file", f"lproxy identity init {self.folder}")

    def test_disk_full(self) -> None:
        """What cannot be written leaves nothing."""

        def full(source: str, target: Path) -> None:
            raise OSError(28, "No space left on device")

        self.patch(develop.os, "replace", full)
        self.refused("No space left")
