# -*- test-case-name: tests.test_build -*-
"""
What setup.cfg cannot say: the extension modules of a compiled build. Everything else stands there.

Run by backend/lproxy_build.py (see there), through C{pip install .} or C{python -m build}; never by hand.
"""

import lproxy_build
from setuptools import setup

setup(ext_modules=lproxy_build.extensions)
