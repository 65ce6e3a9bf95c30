"""Every defence and every promise names tests, and they are there."""

from __future__ import annotations

import re

import pytest

from app.config import PROJECT


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/reliability.md"])
def test_what_is_claimed_names_tests_that_exist(page: str) -> None:
    rows = [line for line in (PROJECT / page).read_text("utf-8").splitlines() if line.startswith("| ")]
    claims = [row for row in rows if "`tests/" in row]
    assert len(claims) > 8
    for row in claims:
        named = re.findall(r"`(tests/[\w./]+)`", row)
        assert [path for path in named if not (PROJECT / path).exists()] == [], row


def test_every_defence_has_one() -> None:
    section = (PROJECT / "SECURITY.md").read_text("utf-8").partition("## What is defended")[2].partition("## ")[0]
    defences = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert [line for line in defences if "`tests/" not in line] == []
