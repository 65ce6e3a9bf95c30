"""The floors of the house, held by a machine."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import PROJECT

LONGEST_FUNCTION = 60
"""Lines, docstring included. The median is a tenth of that."""

SOURCES = sorted((PROJECT / "app").rglob("*.py"))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text("utf-8"), str(path)))


def where(path: Path, node: ast.expr | ast.stmt) -> str:
    return f"{path.relative_to(PROJECT)}:{node.lineno}"


def test_imports_only_go_down() -> None:
    """The contracts stand in `pyproject.toml`. In a process of its own, since the linter changes how is logged."""
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    linted = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "0 broken" in linted.stdout


def test_nothing_is_printed() -> None:
    printed = [
        where(path, node)
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printed == []


def test_functions_are_short() -> None:
    long = [
        f"{where(path, node)} {node.name}"
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(PROJECT))
        for path in SOURCES
        if not ast.get_docstring(ast.parse(path.read_text("utf-8"))) and "versions" not in path.parts
    ]
    assert silent == []


def test_no_module_is_called_after_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "handler", "common", "misc"}
    assert [path.name for path in SOURCES if path.stem in vague] == []


@pytest.mark.parametrize(
    "package",
    [
        *("torch", "transformers", "sentence_transformers", "faiss", "alembic", "uvicorn"),
        *("pymilvus", "qdrant_client", "psycopg"),  # besides, these are extras
    ],
)
def test_what_is_slow_to_import_is_not_imported_with_a_module(package: str) -> None:
    """The page must answer within two seconds of the start: these are imported where they are first needed."""
    early = [
        where(path, node)
        for path in SOURCES
        if "migrations" not in path.parts and path.stem != "connections"  # uvicorn itself imports that one
        for node in ast.parse(path.read_text("utf-8")).body
        if (isinstance(node, ast.Import) and any(name.name.split(".")[0] == package for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package)
    ]
    assert early == []
