"""List the benchmarks, or run one: python -m benchmarks [NAME [--quick] [--json FILE]].

`all` runs those that need no arguments of their own.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from benchmarks.measure import Table, machine

ALL = "all"


def benchmarks() -> dict[str, str]:
    """Name and first sentence of each benchmark, read without importing it."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        module = ast.parse(path.read_text("utf-8"))
        functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
        if "run" in functions and path.stem != "__main__":
            found[path.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return found


def run(name: str, given: list[str]) -> list[Table]:
    """Run one benchmark and print its tables."""
    module = importlib.import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser(
        f"python -m benchmarks {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: under a minute")
    if hasattr(module, "options"):
        module.options(parser)
    tables = []
    for table in module.run(parser.parse_args(given)):
        show(table)
        tables.append(table)
    return tables


def show(table: Table) -> None:
    grid = Grid(*table.columns, title=table.title, caption=table.note, title_justify="left", caption_justify="left")
    for row in table.rows:
        grid.add_row(*(cell if isinstance(cell, str) else figure(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 140).print(grid)


def figure(value: float) -> str:
    """Three digits are what a measurement is worth; what was counted is shown whole."""
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.3g}"


def write(path: Path, results: dict[str, list[Table]]) -> None:
    """All tables as JSON, with the machine they were measured on."""
    content: dict[str, Any] = {"machine": machine()}
    content |= {name: [asdict(table) for table in tables] for name, tables in results.items()}
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def main() -> None:
    known = benchmarks()
    parser = argparse.ArgumentParser("python -m benchmarks", description="Run a benchmark; without a name, list them.")
    parser.add_argument("name", nargs="?", choices=(*known, ALL))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    arguments, others = parser.parse_known_args()
    if arguments.name is None:
        for name, summary in known.items():
            print(f"{name:12} {summary}")
        return
    print(machine())
    names = [arguments.name]
    if arguments.name == ALL:
        names = [name for name in known if not hasattr(importlib.import_module(f"benchmarks.{name}"), "options")]
    results = {name: run(name, others) for name in names}
    if arguments.json:
        write(arguments.json, results)


if __name__ == "__main__":
    main()
