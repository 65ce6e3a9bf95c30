"""Runs in a decoding process, to look around there."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def surroundings(_path: Path, _max_pixels: int) -> tuple[list[str], list[str]]:
    """Variables that may hold credentials, and modules that could use them."""
    secrets = [name for name in os.environ if name.startswith(("AWS_", "GLIMPSE_", "PG"))]
    return secrets, [name for name in ("obstore", "app.media.bucket", "sqlalchemy", "torch") if name in sys.modules]
