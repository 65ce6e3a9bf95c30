"""Timing on a machine that others use as well: candidates and their baseline take turns, and ratios are what counts.

Ratios are of the *undisturbed* times, those that nine of ten rounds exceed: where all cores are busy, a median tells
mostly how often a round was interrupted.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Table:
    """One result: figures are numbers, so that JSON has them whole."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent))

    @property
    def undisturbed(self) -> float:
        return self.percentile(10)

    def ratio(self, baseline: Times) -> float:
        return self.undisturbed / baseline.undisturbed


def interleaved(cases: Mapping[str, Callable[[int], object]], rounds: int, warm: int = 3) -> dict[str, Times]:
    """Time each case once a round, with the number of the round; the order turns, so that none always comes first."""
    names = list(cases)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm, rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.perf_counter()
            cases[name](number % rounds)
            if number >= 0:
                seconds[name].append(time.perf_counter() - began)
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def compared(title: str, times: Mapping[str, Times], baselines: Mapping[str, str], note: str = "") -> Table:
    """Milliseconds of each case, and the ratio of its undisturbed time to that of the one it stands beside."""
    rows = []
    for name, taken in times.items():
        ratio = taken.ratio(times[baselines[name]]) if name in baselines else ""
        times_ms = (1e3 * taken.undisturbed, 1e3 * taken.median, 1e3 * taken.percentile(95))
        rows.append((name, *times_ms, ratio, baselines.get(name, "")))
    return Table(title, ("case", "undisturbed ms", "median ms", "p95 ms", "ratio", "to"), tuple(rows), note)


def percentiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """p50, p95 and p99 in milliseconds."""
    p50, p95, p99 = np.percentile(np.array(seconds) * 1e3, [50, 95, 99])
    return float(p50), float(p95), float(p99)


def machine() -> str:
    """The processor, how much of it, and how busy it is with something else."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    load = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} cores of {model}{load}, Python {platform.python_version()}"
