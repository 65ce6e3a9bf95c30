"""Compile the model beside the worker: in a process of its own, whose memory and whose crashes are nobody else's."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

from PIL import Image

from app.vectors.encoder import Compiled

log = logging.getLogger(__name__)

LONGEST_SIDE = 640
TEXTS = 100


class Compiler:
    """Chooses how models are run on this machine, each once: the outcome lies in the folder of ``compiled``."""

    def __init__(self, starter: Path, compiled: Compiled) -> None:
        self._arguments = (starter, compiled, logging.getLogger().getEffectiveLevel())
        self._process: BaseProcess | None = None
        self._begun: set[str] = set()

    def start(self, model: str) -> None:
        """Begin, unless it was begun before: what failed once would fail again. One after the other."""
        if model in self._begun or (self._process is not None and self._process.is_alive()):
            return
        self._begun.add(model)
        # Not fork: a forked copy of a process with torch's threads may hang.
        self._process = multiprocessing.get_context("spawn").Process(
            target=compile_in_process, args=(model, *self._arguments), name="compile-model", daemon=True
        )
        self._process.start()

    def stop(self) -> None:
        """End it, also in the middle: what is not finished was not begun."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()
            self._process.join()


def compile_in_process(model: str, starter: Path, compiled: Compiled, log_level: int) -> None:
    """Load the model, and compile it with the demo pictures and neutral texts for a measure."""
    from app.vectors.compiling import compile_model
    from app.vectors.encoder import SentenceTransformerEncoder, load_encoder
    from app.vectors.relevance import neutral_texts

    _end_with_parent()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(name)s %(message)s")
    logging.getLogger("app").setLevel(log_level)  # the quantiser tells everything to the root logger
    encoder = load_encoder(model, starter)
    if isinstance(encoder, SentenceTransformerEncoder) and encoder.model.device.type == "cpu":
        compile_model(encoder, compiled, demo_pictures(), neutral_texts()[:TEXTS])


def _end_with_parent() -> None:
    """When the worker is killed there is nobody left to end this process."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def wait() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()


def demo_pictures() -> list[Image.Image]:
    """Everything that `app.library.demo` draws: photographs, drawings, screens and papers in small, RGB."""
    from app.library.demo import draw_demo_pictures

    pictures = []
    for drawn in draw_demo_pictures():
        with Image.open(io.BytesIO(drawn.data)) as picture:
            small = picture.convert("RGB")
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        pictures.append(small)
    return pictures
