"""Ports of the loopback for servers that tests start in processes of their own."""

from __future__ import annotations

import random
import socket

_CHOICE = random.SystemRandom()  # tests that run at the same time, or with the same seed, choose differently


def free_port() -> int:
    """One that nobody listens on.

    From below those that systems hand out by themselves: what is bound to port 0 meanwhile, and there is much of that
    between the choice and a server's first breath, is never given this one.
    """
    while True:
        port = _CHOICE.randrange(15_000, 32_000)
        if is_free(port):
            return port


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)


def is_free(port: int) -> bool:
    """Whether a server could listen there that does not share: not for a minute after a kill (TIME_WAIT)."""
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
