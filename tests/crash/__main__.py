"""Kill a real server again and again, and look after each time whether anything was lost.

    python -m tests.crash [--rounds 200] [--seed 1] [--folder FOLDER]

Ends with 1, and with the data folder left as it is, at the first thing that is not as docs/reliability.md promises.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.crash.rounds import Round, Rounds

COLUMNS = "{:>5}  {:<42} {:>8} {:>5} {:>6} {:>6} {:>6} {:>6}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--folder", type=Path, help="an empty one; else one in the system's folder for such files")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="glimpse-crash-"))
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"seed {given.seed}, {given.rounds} rounds, in {folder}")
    out.print(COLUMNS.format("round", "killed", "answered", "open", "kept", "trash", "found", "s"))
    done: list[Round] = []
    try:
        for each in Rounds(folder, given.seed).run(given.rounds):
            done.append(each)
            out.print(row(each))
    except AssertionError as error:
        out.print(f"In round {len(done) + 1} with seed {given.seed}: {error}", style="red")
        return 1
    out.print(in_words(done))
    return 0


def row(each: Round) -> str:
    numbers = (each.answered, each.open, each.kept, each.trashed, each.found, f"{each.seconds:.1f}")
    return COLUMNS.format(each.number, each.killed, *numbers)


def in_words(rounds: list[Round]) -> str:
    """What the docs say of a run."""
    return (
        f"{len(rounds)} rounds, {sum(each.answered for each in rounds):,} answered requests, "
        f"{sum(each.open for each in rounds):,} pictures in requests that were cut off, "
        f"{sum(each.found for each in rounds):,} searches by own vectors, "
        f"{sum(each.given_up for each in rounds):,} pictures given up after three kills and retried, "
        f"{sum(each.seconds for each in rounds) / 60:.0f} minutes: nothing lost, nothing left over."
    )


if __name__ == "__main__":
    sys.exit(main())
