# -*- test-case-name: tests.configfile -*-
"""
From a TOML file to a checked L{lproxy.config.Config}, and back to text.

Nothing here knows a setting by name but the rules between settings: the fields of L{lproxy.config} and their
metadata say what a file may hold.
"""

from __future__ import annotations

from lproxy.configfile.demands import Demands, insist
from lproxy.configfile.load import Loaded, load, load_file, load_stream
from lproxy.configfile.own import Refused, messages_of, read_own
from lproxy.configfile.plugins import Configure
from lproxy.configfile.problem import Problem, Wrong
from lproxy.configfile.reference import own_reference, reference, refresh
from lproxy.configfile.render import render

__all__ = [
    "Configure",
    "Demands",
    "Loaded",
    "Problem",
    "Refused",
    "Wrong",
    "insist",
    "load",
    "load_file",
    "load_stream",
    "messages_of",
    "own_reference",
    "read_own",
    "reference",
    "refresh",
    "render",
]
