# -*- test-case-name: tests.test_configfile -*-
"""
C{python -m lproxy.configfile}: print the reference of all settings, or renew it in a page.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import reference, refresh


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lproxy.configfile", description="The reference of all settings.")
    parser.add_argument("--write", metavar="FILE", type=Path, help="renew the generated part of FILE in place")
    page: Path | None = parser.parse_args(arguments).write
    if page is None:
        print(reference())
    else:
        page.write_text(refresh(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
