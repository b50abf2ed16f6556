# -*- test-case-name: tests.test_packaging -*-
"""
How C{twistd} and C{twist} learn of lproxy.

Imports nothing but this: every twistd command on the machine loads it, and one that imported the reactor would
take C{--reactor} from all of them. The file is not called lproxy.py, which would hide the package.
"""

from twisted.application.service import ServiceMaker

lproxy = ServiceMaker("lproxy", "lproxy.tap", "A service proxy: TCP, HTTP and what plugins speak.", "lproxy")
