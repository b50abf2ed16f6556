# -*- test-case-name: tests.app.test_early -*-
"""
Load early what Python and Twisted load at first use.

That may be too late: C{twistd --chroot} leaves the files of Python outside before anything is started, and C{--uid}
perhaps a user who cannot read them.
"""

from __future__ import annotations

import codecs
import importlib

from lproxy.transport.spare import reserve

#: what text is encoded with, of peers' names and our own files
CODECS = ("ascii", "idna", "latin-1", "utf-8")
#: what functions import: twisted.web for the body of a POST
MODULES = ("email.policy",)


def load() -> None:
    """Load it all; harmless to be done twice."""
    for name in CODECS:
        codecs.lookup(name)
    for name in MODULES:
        importlib.import_module(name)
    reserve()
