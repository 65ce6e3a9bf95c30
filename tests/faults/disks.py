"""A real file system that can be filled to the last block and be made read-only: tmpfs, where this user may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class Disk:
    """Mounted at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, left: int) -> None:
        """Only so many blocks of 4,096 bytes are left."""
        self.make_room()
        found = os.statvfs(self.path)
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:  # somebody else may have been faster
            file.write(bytes(max(0, found.f_bavail - left) * found.f_bsize))

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """As a kernel makes a disk that fails."""
        self._remount("ro")
        try:
            yield
        finally:
            self._remount("rw")

    @contextmanager
    def away(self) -> Iterator[None]:
        """Pulled off, and plugged in again: meanwhile an empty folder is there."""
        kept = self.path.with_name(f"{self.path.name} kept")
        kept.mkdir()
        subprocess.run(["mount", "--bind", str(self.path), str(kept)], check=True)
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "--bind", str(kept), str(self.path)], check=True)
            subprocess.run(["umount", "--lazy", str(kept)], check=True)

    def _remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 24 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no disk may be mounted here: {mounted.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)
