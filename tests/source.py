"""
Modules as their source has them, where lproxy may be compiled.
"""

from __future__ import annotations

import importlib
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from tests.test_floors import ROOT


def source(name: str) -> ModuleType:
    """The module C{name}, interpreted: for tests whose classes inherit from its, which a compiled one refuses."""
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    module = importlib.import_module(name)
    if module.__file__ == str(path):
        return module
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
