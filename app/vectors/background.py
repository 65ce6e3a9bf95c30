"""Models that load beside everything else, and the few that a process holds at once."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from app.errors import ModelNotReady, ModelUnavailable
from app.models import Choice, ModelState, ModelStatus
from app.vectors.encoder import Encoder
from app.vectors.known import AUTO, first_line

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""How often a model that could not be loaded is tried again."""

Improve = Callable[[Encoder], tuple[Encoder, Choice] | None]


class BackgroundEncoder:
    """Loads an encoder in a thread of its own, so that everything else is there long before the model is."""

    def __init__(
        self,
        name: str,
        load: Callable[[], Encoder],
        improve: Callable[[Encoder], tuple[Encoder, Choice] | None] = lambda _encoder: None,
    ) -> None:
        self._load = load
        self._improve = improve
        self._encoder: Encoder | None = None
        self._status = ModelStatus(name, ModelState.LOADING)
        self.failed_at = math.inf
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            encoder = self._load()
            self._encoder = encoder
            self._status = ModelStatus(encoder.space.model, ModelState.READY, encoder.space)
            log.info("model ready name=%s dimension=%d", encoder.space.model, encoder.space.dimension)
        except ModelUnavailable as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("model failed")
            self._fail(f"The model {self._status.name} can't be loaded: {first_line(error)}")
        finally:
            self._done.set()

    def improve(self) -> bool:
        """Take the way to run the model that was chosen meanwhile. Whether one is chosen (`ModelStatus.choice`)."""
        if self._encoder is None or self._status.choice is not None:
            return self._status.choice is not None
        improved = self._improve(self._encoder)
        if improved is None:
            return False
        self._encoder, choice = improved
        self._status = replace(self._status, choice=choice)
        log.info("model runs images=%s texts=%s", choice.images, choice.texts)
        return True

    def _fail(self, message: str) -> None:
        log.error("model unavailable name=%s reason=%s", self._status.name, message)
        self._status = ModelStatus(self._status.name, ModelState.UNAVAILABLE, message=message)
        self.failed_at = time.monotonic()

    @property
    def status(self) -> ModelStatus:
        return self._status

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until loading has ended, well or not. ``False`` if it has not by then."""
        return self._done.wait(seconds)

    def get(self) -> Encoder:
        """The encoder. Raises `ModelNotReady` while it loads, `ModelUnavailable` when it can't be had."""
        if self._encoder is not None:
            return self._encoder
        if self._status.state is ModelState.UNAVAILABLE:
            raise ModelUnavailable(self._status.message or "")
        raise ModelNotReady("The model is warming up. Browsing works; searching will in a moment.")


class Encoders:
    """The models of a process by their source (`app.vectors.known.resolve`), each loaded once, when first asked for.

    ``load`` makes the encoder of a source or of `AUTO`; ``resolve`` turns a setting into a source.
    """

    def __init__(
        self,
        load: Callable[[str], Encoder],
        resolve: Callable[[str], str] = lambda name: name,
        improve: Improve = lambda _encoder: None,
    ) -> None:
        self._load = load
        self._improve = improve
        self._resolve = resolve
        self._lock = threading.Lock()
        self._held: dict[str, BackgroundEncoder] = {}
        self._asked: dict[str, float] = {}

    def of(self, name: str) -> BackgroundEncoder:
        """The model of a source or setting; it begins to load if nobody has asked for it before."""
        with self._lock:
            key = self._key(name)
            encoder = self._held.get(key)
            if encoder is None:
                encoder = BackgroundEncoder(key, lambda: self._load(key), self._improve)
                self._held[key] = encoder
                encoder.start()
            self._asked[key] = time.monotonic()
            return encoder

    def source(self, name: str) -> str:
        """What a setting stands for. That `AUTO` had to pass over a damaged model is known once it is loaded."""
        held = self._held.get(AUTO) if name == AUTO else None
        return held.status.name if held and held.status.space else self._resolve(name)

    def _key(self, name: str) -> str:
        """`AUTO` is loaded as such, since only it may pass over what is damaged; then it is what it found."""
        source = self.source(name)
        if source in self._held:
            return source
        automatic = self._held.get(AUTO)
        return AUTO if name == AUTO or (automatic and automatic.status.name == source) else source

    def held(self) -> list[tuple[str, BackgroundEncoder]]:
        """Source and model of all that were asked for and not let go."""
        with self._lock:
            return [(self.source(key), encoder) for key, encoder in self._held.items()]

    def let_go(self, but: Collection[str], unused_for: float = 0.0) -> None:
        """Forget models, so that their memory comes back: ``but`` these sources, and what was asked for lately."""
        before = time.monotonic() - unused_for
        with self._lock:
            keep = {self._key(name) for name in but}
            for key in [held for held in self._held if held not in keep and self._asked[held] <= before]:
                log.info("model let go source=%s", key)
                del self._held[key], self._asked[key]

    def retry(self, name: str) -> None:
        """Load a model anew when it is asked for again, if it could not be had `RETRY_SECONDS` ago."""
        if self.of(name).failed_at < time.monotonic() - RETRY_SECONDS:
            self.forget(name)

    def forget(self, name: str) -> None:
        """Load it anew when it is asked for again: what was missing may be there by then."""
        with self._lock:
            key = self._key(name)
            self._held.pop(key, None)
            self._asked.pop(key, None)
