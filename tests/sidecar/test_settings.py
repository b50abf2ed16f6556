# -*- test-case-name: tests.sidecar.test_settings -*-
"""
Tests for L{lproxy.sidecar.settings}.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import lproxy
from lproxy.config import Timeouts
from lproxy.configfile import load
from lproxy.sidecar.redirect import Ports
from lproxy.sidecar.settings import PORTS, SETTINGS, Settings, annotated, release
from tests.floors_source import ROOT


class SettingsTests(SynchronousTestCase):
    """Each setting is there once, as an option and as an annotation."""

    def test_all(self) -> None:
        """All of them can be set."""
        self.assertEqual({field.name for field in fields(Settings)}, {one.field for one in SETTINGS.values()})

    def test_image(self) -> None:
        """Our image has the tag of our version, however this was built."""
        self.assertEqual(lproxy.__version__, release())

    def test_grace(self) -> None:
        """A pod has more time to end than its proxy takes to drain."""
        self.assertGreater(Settings().grace, Timeouts().drain)

    def test_ports(self) -> None:
        """The configuration in the image has the ports that are the default here."""
        loaded = load((ROOT / "contrib" / "container" / "sidecar.toml").read_text(), "sidecar.toml", {})
        assert loaded.config is not None
        addresses = [*(one.address for one in loaded.config.listen), loaded.config.admin.address]
        self.assertEqual([f"[::]:{port}" for port in PORTS], addresses)

    def test_told(self) -> None:
        """Kubernetes' page has each annotation, and none that is not."""
        page = Path(ROOT / "docs" / "platforms" / "kubernetes.rst").read_text()
        self.assertEqual([], [name for name in SETTINGS if f"``lproxy/{name}``" not in page])


class AnnotatedTests(SynchronousTestCase):
    """A pod's annotations count more than what is for all."""

    def test_values(self) -> None:
        """Each is read as the option is; what is not lproxy's is left alone."""
        found = annotated(
            Settings(image="x:1", skip_outbound_ports=(Ports(1, 1),)),
            {
                "lproxy/skip-outbound-ports": "25,3306-3310",
                "lproxy/native": "false",
                "lproxy/cpu-limit": "",
                "lproxy/injected": "0.0.1",
                "lproxy/inject": "enabled",
                "example.com/uid": "x",
                7: 7,
            },
        )
        self.assertEqual(
            Settings(image="x:1", skip_outbound_ports=(Ports(25, 25), Ports(3306, 3310)), native=False), found
        )

    def test_mistakes(self) -> None:
        """Name, value, and what would be right."""
        for name, value, said in (
            ("skip-outbound-port", "1", "no annotation of lproxy; did you mean lproxy/skip-outbound-ports?"),
            ("colour", "red", "no annotation of lproxy"),
            ("uid", 7, 'annotations are strings; write "7"'),
            ("native", True, 'annotations are strings; write "true"'),
            ("native", "yes", "'yes' is neither true nor false"),
            ("uid", "0", "'0' is no user's number other than root's"),
            ("admin-port", "70000", "'70000' is no port, from 1 to 65535"),
            ("image", "a b", "'a b' is no name of an image"),
            ("config-map", "A_b", "'A_b' is no name of an object of Kubernetes"),
            ("memory-limit", "lots", "'lots' is no quantity of Kubernetes, as 100m or 64Mi"),
            ("grace", "30s", "'30s' is no number of whole seconds"),
            ("log-level", "loud", "'loud' is none of debug, info, warn, error, critical"),
        ):
            error = self.assertRaises(ValueError, annotated, Settings(), {f"lproxy/{name}": value})
            self.assertIn(f"lproxy/{name}: {said}", str(error))
