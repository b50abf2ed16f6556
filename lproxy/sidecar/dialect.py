# -*- test-case-name: tests.sidecar.test_dialect -*-
"""
YAML as manifests have it: read as PyYAML reads it, which is YAML 1.1, and written so that readers of 1.2 agree.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

#: strings that are numbers to YAML 1.2, as Kubernetes reads it, and not to YAML 1.1, which would write them bare
NUMBER = re.compile(r"[-+]?(?:0o?[0-7]+|[0-9][0-9_]*|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)")
#: of a bare C{=}: YAML 1.1 has a meaning for it that nobody has
VALUE_TAG = "tag:yaml.org,2002:value"


class Loader(yaml.SafeLoader):
    """Reads values; its words on mistakes are the ones that are told."""


class Reader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """The same values ten times as fast, where there is libyaml."""


def _bare(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    """What it looks like."""
    return str(node.value)


Loader.add_constructor(VALUE_TAG, _bare)
Reader.add_constructor(VALUE_TAG, _bare)


class Dumper(yaml.SafeDumper):
    """Writes values as people write manifests: no anchors, and elements of lists indented or not, as the others are."""

    indented = False

    def ignore_aliases(self, data: Any) -> bool:
        """What is used twice is written twice."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Called before each collection."""
        super().increase_indent(flow, indentless and not self.indented)


def _string(dumper: Dumper, value: str) -> yaml.ScalarNode:
    """A string, in quotes where it could be taken for a number."""
    style = "'" if NUMBER.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Dumper.add_representer(str, _string)


class IndentedDumper(Dumper):
    """The same, for texts whose lists are indented."""

    indented = True


def dump(value: Any, dumper: type[Dumper]) -> str:
    """C{value} in block style, without the last line's end."""
    said: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=10**6)
    return said.removesuffix("\n").removesuffix("\n...")
