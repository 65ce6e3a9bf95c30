"""Other engines are tested where they are installed: elsewhere their tests are skipped with the reason, or fail.

`GLIMPSE_TEST_ENGINES=required` makes a missing engine a failure; `.ci/run` sets it.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

INSTALL = "pip install -r requirements-engines.txt"


def missing(reason: str) -> None:
    """An engine can't be had: the test is skipped, or fails where engines are required."""
    if os.environ.get("GLIMPSE_TEST_ENGINES") == "required":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def package(name: str) -> Path:
    """Where a package lies. It is not imported: what an engine brings along may be no code for this process."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        missing(f"{name} is not installed: {INSTALL}")
        raise AssertionError
    return Path(found.origin).parent
