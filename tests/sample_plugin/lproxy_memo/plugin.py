# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
What lproxy asks a plugin for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zope.interface import implementer

import lproxy_memo
from lproxy.api import IProtocolPlugin, Runtime, SessionFactory, read_own, setting
from lproxy_memo.detect import detect


@dataclass(frozen=True, slots=True)
class Settings:
    """C{[memo]}, and C{[listen.memo]} for one listener."""

    boards: tuple[str, ...] = setting((), "boards that may be asked for; empty: all of them")
    opening: float = setting(5.0, "how long a client may take to name its board", "duration")


@implementer(IProtocolPlugin)
class Memo:
    """Memo, observed: each command is counted by its name and its answer."""

    name = "memo"
    version = lproxy_memo.__version__
    detector = staticmethod(detect)

    def configure(self, table: dict[str, Any]) -> Settings:
        """Check a table."""
        return Settings(**read_own(Settings, table))

    def factory(self, runtime: Runtime, config: Settings) -> SessionFactory:
        """Sessions for one listener."""
        # here, not above: to list a plugin should cost no more than its name and version
        from lproxy_memo.session import MemoFactory

        # to forward what was detected, TcpFactory(runtime, self.name) alone would do
        return MemoFactory(runtime, config)
