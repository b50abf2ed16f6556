# -*- test-case-name: tests.configfile.test_main -*-
"""
C{python -m lproxy.configfile}: print the reference of all settings, or update it in a page.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from lproxy.configfile import own_reference, reference, refresh


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lproxy.configfile", description="The reference of all settings.")
    parser.add_argument("--write", metavar="FILE", type=Path, help="update the generated part of FILE in place")
    parser.add_argument("--of", metavar="MODULE:CLASS", help="a plugin's own settings instead of lproxy's")
    options = parser.parse_args(arguments)
    text = reference()
    if options.of is not None:
        module, _, name = options.of.partition(":")
        text = own_reference(getattr(import_module(module), name))
    page: Path | None = options.write
    if page is None:
        print(text)
    else:
        page.write_text(refresh(page.read_text("utf-8"), text), "utf-8")


if __name__ == "__main__":
    main()
