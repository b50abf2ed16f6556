# -*- test-case-name: tests.test_packaging -*-
"""
How C{twistd} and C{twist} learn of lproxy.

Imports nothing but this: every twistd command on the machine loads it, and one that imported the reactor would
take C{--reactor} from all of them. The file is not called lproxy.py, which would hide the package.
"""

from typing import Any

from twisted.application.service import ServiceMaker


class _Maker(ServiceMaker):
    """Minds the process's signals as soon as somebody asks for lproxy: the rest takes a while to be imported."""

    @property
    def options(self) -> Any:
        from lproxy.app.signals import calm

        calm()
        return super().options


lproxy = _Maker("lproxy", "lproxy.tap", "A service proxy: TCP, HTTP and what plugins speak.", "lproxy")
