"""How much memory a model may still take: what the system has free, and what its container is allowed."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

ROOT = Path("/")


def free() -> float:
    """Bytes of memory that are to be had, swap included; infinite where the system does not tell (not Linux).

    Sources: https://man7.org/linux/man-pages/man5/proc_meminfo.5.html,
    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    return min(_of_machine(), _of_container())


def _of_machine() -> float:
    """``MemAvailable`` counts what would be given back: caches of files, above all."""
    with suppress(OSError, KeyError, ValueError):
        lines = (ROOT / "proc/meminfo").read_text().splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return (kilobytes["MemAvailable"] + kilobytes["SwapFree"]) * 1024
    return math.inf


def _of_container() -> float:
    """What the limit of this process' own group leaves; ``max``, or no such file, is no limit."""
    group = ROOT / "sys/fs/cgroup"  # inside a container this is the container's own
    with suppress(OSError, KeyError, ValueError):
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        parts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return limit - used + int(parts["inactive_file"])
    return math.inf
