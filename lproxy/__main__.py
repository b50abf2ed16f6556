# -*- test-case-name: tests.test_main -*-
"""
C{lproxy}, or C{python -m lproxy}: the command, whose process minds its signals before it has imported anything.

That takes some tenths of a second on a busy machine, and whoever starts a container may think better of it meanwhile.
"""

from __future__ import annotations

import sys

from lproxy.app.signals import calm


def main() -> int:
    """Entry point; the exit status."""
    calm()
    from lproxy import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
