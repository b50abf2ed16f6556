# -*- test-case-name: tests.testing.test_faults -*-
"""
Code that fails on command: a function that raises once it has done its work.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: what is never called back
NOT = ("__init__", "__del__")


class Fault(Exception):
    """What is raised."""


class Faults:
    """
    Counts the calls of the functions of some modules, and has one of them raise as it returns: of those that return
    nothing, as what is called back does. (What returns a lease and loses it cannot be helped by anybody.)

    @ivar steps: the names of those that have returned, in their order
    """

    def __init__(self, modules: str | tuple[str, ...], at: int = -1) -> None:
        """
        @param modules: how the names of the modules begin
        @param at: the place in C{steps} of the call that raises; -1: none does
        """
        self._modules = modules
        self._at = at
        self.steps: list[str] = []

    @contextmanager
    def injected(self) -> Iterator[None]:
        """Within the block."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if not frame.f_globals.get("__name__", "").startswith(self._modules) or code.co_name in NOT:
            return None
        if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE):
            return None
        frame.f_trace_lines = False
        return self._returns

    def _returns(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "return" and arg is None:
            self.steps.append(frame.f_code.co_qualname)
            if len(self.steps) - 1 == self._at:
                raise Fault(frame.f_code.co_qualname)
        return self._returns
