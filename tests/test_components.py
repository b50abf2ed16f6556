# -*- test-case-name: tests.test_components -*-
"""
Tests for L{tests.components}.
"""

from __future__ import annotations

import os
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.components import missing, require


class RequireTests(SynchronousTestCase):
    """A missing component is a skip at home, a failure in CI."""

    def setUp(self) -> None:
        environ = dict(os.environ)
        environ.pop("LPROXY_DENY_WARNINGS", None)
        self.patch(os, "environ", environ)

    def test_there(self) -> None:
        """With everything there, nothing happens."""
        require("sh", "ls")

    def test_skip(self) -> None:
        """The skip names what is missing."""
        error = self.assertRaises(SkipTest, require, "sh", "no-such-program")
        self.assertEqual("no-such-program is not installed", str(error))

    def test_package(self) -> None:
        """So is a package, also one that would be part of another which is missing."""
        require(packages=("twisted.web",))
        for package in ("no_such_package", "no_such_package.at.all"):
            error = self.assertRaises(SkipTest, require, packages=(package,))
            self.assertEqual(f"the Python package {package} is not installed", str(error))

    def test_fail(self) -> None:
        """In CI it is a failure, not a skip."""
        os.environ["LPROXY_DENY_WARNINGS"] = "1"
        error = self.assertRaises(AssertionError, missing, "no kernel")
        self.assertIn("no kernel", str(error))

    def test_root(self) -> None:
        """Root is asked for only where it is needed."""
        self.patch(os, "geteuid", lambda: 1000)
        require("sh")
        self.assertRaises(SkipTest, require, "sh", root=True)
        self.patch(os, "geteuid", lambda: 0)
        require("sh", root=True)
