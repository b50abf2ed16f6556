# -*- test-case-name: tests.test_build -*-
"""
Which build of lproxy this is: the sources as they stand, or its hot modules compiled (C{LPROXY_COMPILE=1}).

Both come from the same files; C{backend/lproxy_build.py} lists those that are compiled.
"""

from importlib.machinery import EXTENSION_SUFFIXES

import lproxy

# the smallest of the modules that are compiled
from lproxy import target


def build(file: str | None = target.__file__) -> str:
    """C{pure} or C{compiled}: what a hot module, loaded from C{file}, is."""
    return "compiled" if (file or "").endswith(tuple(EXTENSION_SUFFIXES)) else "pure"


def version() -> str:
    """Version and build, for people."""
    return f"{lproxy.__version__} ({build()})"
