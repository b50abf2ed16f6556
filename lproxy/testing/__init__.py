"""
For tests of plugins, and of lproxy itself: contracts to mix in, doubles that answer on command, connections in memory.
"""

from lproxy.testing.detectors import DetectorContract
from lproxy.testing.feed import feed_three_ways
from lproxy.testing.garbage import uncounted
from lproxy.testing.plugins import PluginContract
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.scripted import ScriptedAcquire, ScriptedDiscover, ScriptedLease, ScriptedService
from lproxy.testing.shown import reported, shown
from lproxy.testing.wire import Peer, ScriptedReactor

__all__ = [
    "DetectorContract",
    "Peer",
    "PluginContract",
    "ScriptedAcquire",
    "ScriptedDiscover",
    "ScriptedLease",
    "ScriptedProxy",
    "ScriptedReactor",
    "ScriptedService",
    "feed_three_ways",
    "reported",
    "shown",
    "uncounted",
]
