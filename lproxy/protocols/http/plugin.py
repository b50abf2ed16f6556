# -*- test-case-name: tests.protocols.http.test_plugin -*-
"""
HTTP as a plugin, found like everybody's.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

import lproxy
from lproxy.api import Detector, IProtocolPlugin, Runtime, SessionFactory
from lproxy.protocols.http.detect import detect
from lproxy.protocols.http.factory import HttpFactory


@implementer(IProtocolPlugin)
class HttpPlugin:
    """Provides C{http}."""

    name = "http"
    version = lproxy.__version__
    detector: Detector | None = staticmethod(detect)

    def configure(self, table: dict[str, Any]) -> None:
        """HTTP has no table of its own: its limits are under C{[limits]} and C{[timeouts]}."""
        for key in table:
            raise ValueError(f"{key}: unknown key; HTTP's settings are under [limits] and [timeouts]")

    def factory(self, runtime: Runtime, config: None) -> SessionFactory:
        """Sessions for one listener."""
        return HttpFactory(runtime)
