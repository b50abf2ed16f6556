# -*- test-case-name: tests.app.test_surroundings -*-
"""
Tests for L{lproxy.app.surroundings}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Listen
from tests.app.scene import Scene


class SurroundingsTests(SynchronousTestCase):
    """What is the process's and not a configuration's."""

    def test_shared(self) -> None:
        """Two assemblies have the same, and none changes it: one's crash is counted beside the other's."""
        scene = Scene(self)
        listeners = [Listen(name=name, address=f"127.0.0.1:{n}", protocol="note") for n, name in enumerate("ab", 1)]
        for listen in listeners:
            scene.assembly(listen)
            scene.client(listen, b"bug")
        self.assertEqual(2, scene.value('plugin_errors_total{plugin="note"}'))
        with self.assertRaises(FrozenInstanceError):
            scene.around.plugins = []  # type: ignore[misc]
