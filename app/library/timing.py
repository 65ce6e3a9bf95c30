"""How long a step takes: measured where it happens, kept by whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum


class Step(StrEnum):
    """What is measured."""

    SEARCH = "search"
    """A query from its text to its matches."""
    TEXT_ENCODING = "text encoding"
    """One text to its vector, by the model; what is remembered is not measured."""
    INTAKE = "intake"
    """A whole file to "added"."""


Stopwatch = Callable[[Step], AbstractContextManager[object]]


def unmeasured(_step: Step) -> AbstractContextManager[object]:
    """Nobody wants to know."""
    return nullcontext()
