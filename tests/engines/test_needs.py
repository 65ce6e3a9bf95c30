"""A missing engine is skipped with the reason, and a failure where engines are required."""

from __future__ import annotations

import pytest

from tests.engines import needs


def test_without_the_package_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIMPSE_TEST_ENGINES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no_such_engine is not installed: pip install"):
        needs.package("no_such_engine")


def test_where_engines_are_required_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIMPSE_TEST_ENGINES", "required")
    with pytest.raises(pytest.fail.Exception, match="no_such_engine is not installed"):
        needs.package("no_such_engine")
