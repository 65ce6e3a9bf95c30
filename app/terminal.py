"""What commands show on a terminal: progress and tables. Data goes to standard output, everything else beside it."""

from __future__ import annotations

import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from app.library.importing import Fate, Imported

Item = TypeVar("Item")


def with_progress(results: Iterable[Imported], total: int) -> Iterator[Imported]:
    """Pass results through and show how far it is, how fast, how long still and what became of them; on a terminal
    only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from results
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    fates: Counter[Fate] = Counter()
    with Progress(*columns, TextColumn("{task.fields[fates]}"), console=console, transient=True) as progress:
        task = progress.add_task("", total=total, rate="", fates="")
        for result in results:
            fates[result.fate] += 1
            speed = progress.tasks[0].speed
            progress.update(task, advance=1, rate=f"{speed:.0f}/s" if speed else "", fates=in_words(fates))
            yield result


@contextmanager
def until_interrupted() -> Iterator[threading.Event]:
    """Within, Ctrl-C only sets the event, for work that is not to be left in the middle; a second one ends the process.

    `KeyboardInterrupt` comes between any two instructions, also where a library has begun a transaction and not yet
    noted it: that one is then never undone, and what is to be written last waits for it in vain.
    https://docs.python.org/3/library/signal.html#handlers-and-exceptions
    """
    interrupted = threading.Event()

    def stop(signum: int, _frame: object) -> None:
        signal.signal(signum, signal.SIG_DFL)
        interrupted.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def tell_import(results: Iterable[Imported], dry: bool) -> None:
    """What should be known by name: what would be taken (``dry``, on standard output), what is here, what is not."""
    told: Counter[str] = Counter()
    for result in results:
        name = printable(result.name)
        if result.fate is Fate.DUPLICATE:
            sys.stderr.write(f"already here as picture {result.image_id}: {name}\n")
        elif result.fate is Fate.PROBLEM:
            sys.stderr.write(f"not taken: {name}: {result.reason}\n")
        elif dry and result.fate is Fate.ADDED:
            sys.stdout.write(f"{name}\n")
        if result.fate is not Fate.PROBLEM and result.reason:
            told[result.reason] += 1
    for reason, times in told.items():
        sys.stderr.write(f"{times:,} of them: {reason}\n")


@contextmanager
def with_bytes(what: str) -> Iterator[Callable[[int, int], None]]:
    """To be told how many bytes are here, and of how many; shows them on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def in_words(fates: Counter[Fate]) -> str:
    """``12 added, 3 already here``"""
    words = {Fate.ADDED: "added", Fate.DUPLICATE: "already here", Fate.UNCHANGED: "imported before"}
    words[Fate.PROBLEM] = "not taken"
    return ", ".join(f"{fates[fate]:,} {words[fate]}" for fate in Fate if fates[fate]) or "nothing to import"


def show_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere lines with tabs, for other programs."""
    console = Console()
    if not console.is_terminal:
        for row in rows:
            sys.stdout.write("\t".join(row) + "\n")
        return
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))  # names are no markup
    console.print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """A table of what is known, and of what is not."""
    show_table(("", ""), list(_lines(facts)))


def _lines(facts: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        named = f"{within} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            yield from _lines(value, named)
        elif isinstance(value, list):
            for item in value:
                yield from _lines(item, named)
        else:
            value = "–" if value is None else value
            yield named, printable(("yes" if value else "no") if isinstance(value, bool) else str(value))


def printable(text: str) -> str:
    """Without what would move the cursor or change colours."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
