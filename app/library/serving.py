"""Which model answers: the one that serves, until another is ready to take its place.

A process that answers queries holds on to a model with its space until it has the next one in memory, with its index
and its bank of neutral texts. Only then, in one assignment, it changes over. So a query's vector is never compared with
another space's, and nobody is turned away because the model changes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from app.catalog.switching import Switches, Switching
from app.catalog.vectors import KeptSpace, Vectors
from app.errors import EngineUnavailable, ModelNotReady, ModelUnavailable, NotFound
from app.models import EmbeddingSpace, FloatArray, ModelState, ModelStatus
from app.vectors.background import RETRY_SECONDS, BackgroundEncoder, Encoders
from app.vectors.encoder import Encoder
from app.vectors.known import AUTO
from app.vectors.ranking import Index
from app.vectors.relevance import neutral_digest, neutral_texts
from app.vectors.shared import SharedIndexes
from app.vectors.snapshots import IndexCache
from app.vectors.texts import TextReader, complaint_about

log = logging.getLogger(__name__)

BANK_BATCH = 64
"""Neutral texts encoded at once."""
KEPT_SECONDS = 600.0
"""A model that serves no more stays in memory this long: who goes back or compares does not wait."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is loaded, the space it belongs to, and the vectors of the neutral texts there."""

    model: BackgroundEncoder
    kept: KeptSpace
    bank: FloatArray
    tower: TextReader | None = None
    """What reads texts instead of the model itself."""
    complaint: str | None = None
    """Why a tower that is set does not."""

    @property
    def encoder(self) -> Encoder:
        return self.model.get()

    @property
    def reader(self) -> TextReader:
        return self.tower or self.encoder


class ServedModels:
    """``setting``: the model that serves where nobody chose another. ``load_tower`` loads what reads texts for it,
    where that is set."""

    def __init__(
        self,
        setting: str,
        encoders: Encoders,
        vectors: Vectors,
        switches: Switches,
        indexes: IndexCache | SharedIndexes,
        load_tower: Callable[[], TextReader] | None = None,
    ) -> None:
        self._setting = setting
        self._encoders = encoders
        self._vectors = vectors
        self._switches = switches
        self._indexes = indexes
        self._active: Served | None = None
        self._first: BackgroundEncoder | None = None
        self._load_tower = load_tower
        self._tower: TextReader | None = None
        # By the whole space: its id alone may be given again, once it was pruned.
        self._towers: dict[KeptSpace, tuple[TextReader | None, str | None]] = {}
        self._tower_lock = threading.Lock()
        self._banks: dict[KeptSpace, FloatArray] = {}
        self._made_banks: dict[KeptSpace, FloatArray] = {}
        """Those that could not be written to the catalog yet: making one again every moment takes a whole core."""
        self._awaited: dict[KeptSpace, int] = {}
        self._complaint: str | None = None
        self._retry_at = 0.0
        self._following = threading.Lock()

    def active(self) -> Served:
        """What answers now. Raises `ModelNotReady` or `ModelUnavailable` while nothing does."""
        active = self._active
        if active is not None:
            return active
        if self._complaint is not None:
            raise ModelUnavailable(self._complaint)
        raise ModelNotReady("The model is warming up. Browsing works; searching will in a moment.")

    def other(self, wait: bool = False) -> Served:
        """The space that is filled or, while none is, the one before: for a comparison. May be incomplete.

        Its model is loaded now; with ``wait``, that is waited for.

        Raises `NotFound` if there is none, `ModelNotReady` while its model loads, `ModelUnavailable`.
        """
        told, active = self._switches.read(), self.active()
        for kept in (told.filling, told.previous):
            if kept is not None and kept.id != active.kept.id:
                model = self._encoders.of(_source_of(kept))
                if wait:
                    model.wait()
                return self._served(model, kept)
        raise NotFound("There is one model so far. Choose another, and the two can be compared while it is filled.")

    def space(self) -> KeptSpace | None:
        """The space whose vectors are searched: also before its model is loaded."""
        active = self._active
        return active.kept if active is not None else self._vectors.serving()

    def index(self, kept: KeptSpace) -> Index:
        """The index of a space, up to date with its log."""
        return self._indexes.get(kept.id, kept.space, self._vectors.log(kept.id))

    @property
    def status(self) -> ModelStatus:
        """Of the model that answers or, while none does, of the one that is to."""
        active, first = self._active, self._first
        if active is not None:
            tower = active.tower.space.model if active.tower else None
            return replace(active.model.status, message=self._complaint or active.complaint, text_model=tower)
        if first is None:
            return ModelStatus(self._setting, ModelState.LOADING)
        if self._complaint is not None:
            return ModelStatus(first.status.name, ModelState.UNAVAILABLE, message=self._complaint)
        # Ready is what can answer: it has an index and a bank of neutral texts as well.
        return replace(first.status, state=ModelState.LOADING, message=None)

    # -- following the catalog ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Said once, by a server that starts: what the settings say now counts from here on.

        `AUTO` stands for whatever is here: what serves will do, unless the setting was another one before.
        """
        before = self._switches.read().setting
        told, serving = self._switches.settle(self._setting), self._vectors.serving()
        served = serving.source if serving else None
        undecided = served is not None and told.chosen is None and told.wanted is None
        says_so = not self._setting == before == AUTO
        if undecided and says_so and self._encoders.source(self._setting) != served:
            self._switches.want(self._setting)

    def follow(self, leads: bool = True) -> None:
        """Called every moment: get ready what is to serve next, and change over to what serves.

        A server ``leads``: where the files of the model that serves were replaced, their space takes over. Who does
        not, leaves the library as it is. Waits for a model only while none answers. Raises whatever the catalog raises.
        """
        with self._following:
            told, serving = self._switches.read(), self._vectors.serving()
            if self._active is None:
                self._begin(told, serving, leads)
            elif serving is not None and serving.id != self._active.kept.id:
                self._change_over(serving)
            elif told.filling is not None and told.filling.id != self._active.kept.id:
                self._prepare(told.filling)
            else:
                self._complaint = None
            self._let_go(told)

    def improve(self) -> None:
        """Run models in the way that was chosen for them meanwhile."""
        for _, encoder in self._encoders.held():
            encoder.improve()

    def _begin(self, told: Switching, serving: KeptSpace | None, leads: bool) -> None:
        """The first model of this process. One whose files were replaced changes over at once: the old is gone.

        Where what serves can't be had, nothing takes its place: it may be here in a moment, or elsewhere all the time.
        """
        source = _source_of(serving, self._setting) if serving else told.wanted or told.chosen or self._setting
        model = self._load_first(source)
        if serving is None and told.chosen is None and model.status.state is ModelState.UNAVAILABLE:
            source = self._setting
            model = self._load_first(source)
        if (now := self._vectors.serving()) != serving:  # that may have taken minutes
            self._begin(told, now, leads)
        elif model.status.space is None or not _may_serve(model.status.space, serving, leads):
            self._say(source, _missing(model.status, serving))
        else:
            source, space = self._encoders.source(source), model.status.space
            kept = KeptSpace(self._vectors.serve(space, source), space, source) if leads or not serving else serving
            self._active, self._complaint = self._served(model, kept), None

    def _load_first(self, source: str) -> BackgroundEncoder:
        self._first = self._encoders.of(source)
        self._first.wait()
        return self._first

    def _change_over(self, serving: KeptSpace) -> None:
        """Another space serves. Until its model is here, and its vectors in their index, the one before answers."""
        try:
            served = self._served(self._encoders.of(_source_of(serving)), serving)
            # As far as its log went when it was to serve: somebody else may carry it to an engine.
            awaited = self._awaited.setdefault(serving, self._vectors.log(serving.id).newest())
            if not self._indexes.has_read(serving.id, serving.space, awaited):
                return
            self._active, self._complaint = served, None
            self._first = None  # else it would be held in memory for good
            self._awaited.clear()
            log.info("another model answers name=%s", serving.space.model)
        except (ModelNotReady, EngineUnavailable) as error:
            log.debug("model does not answer yet name=%s reason=%s", serving.space.model, error)
        except ModelUnavailable as error:
            self._say(_source_of(serving), f"{serving.space.model} is to serve, and this server can't load it: {error}")

    def _prepare(self, filling: KeptSpace) -> None:
        try:
            self._served(self._encoders.of(_source_of(filling)), filling)
        except (ModelNotReady, EngineUnavailable) as error:
            log.debug("model not ready yet name=%s reason=%s", filling.space.model, error)
        except ModelUnavailable as error:
            self._say(_source_of(filling), f"{filling.space.model} is filled, and this server can't load it: {error}")

    def _say(self, source: str, complaint: str) -> None:
        """Tell it, and load the model anew now and then: what is missing may be here by then."""
        if complaint != self._complaint:
            log.error("%s", complaint)
            self._retry_at = time.monotonic() + RETRY_SECONDS
        self._complaint = complaint
        if time.monotonic() > self._retry_at:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._encoders.forget(source)

    def _served(self, model: BackgroundEncoder, kept: KeptSpace) -> Served:
        """Ready to answer. Raises `ModelNotReady`, or `ModelUnavailable` also where the files are others by now."""
        encoder = model.get()
        if encoder.space != kept.space:
            raise ModelUnavailable(f"The files of {kept.space.model} were replaced. Choose it again to fill it anew.")
        tower, complaint = self._tower_for(encoder, kept)
        bank = self._bank_of(tower or encoder, kept, neutral_digest(tower.space.fingerprint if tower else ""))
        self.index(kept).use_bank(bank)
        return Served(model, kept, bank, tower, complaint)

    def _tower_for(self, encoder: Encoder, kept: KeptSpace) -> tuple[TextReader | None, str | None]:
        """What reads texts for a space instead of its own model, if that is set and belongs to it; else why not."""
        with self._tower_lock:
            if kept not in self._towers:
                self._towers[kept] = self._fitting_tower(encoder)
            return self._towers[kept]

    def _fitting_tower(self, encoder: Encoder) -> tuple[TextReader | None, str | None]:
        if self._load_tower is None:
            return None, None
        try:
            self._tower = self._tower or self._load_tower()
            complaint = complaint_about(self._tower, encoder)
        except ModelUnavailable as error:
            complaint = f"{error} Words are read by {encoder.space.model} itself."
        if complaint:
            log.warning("%s", complaint)
        return (None, complaint) if complaint else (self._tower, None)

    def _bank_of(self, reader: TextReader, kept: KeptSpace, digest: str) -> FloatArray:
        """Vectors of the neutral texts, read as queries are: made once for each space."""
        if kept not in self._banks:
            bank = self._vectors.bank(kept.id, digest)
            if bank is None:
                if kept not in self._made_banks:
                    self._made_banks[kept] = _read_bank(reader)
                bank = self._made_banks[kept]
                self._vectors.keep_bank(kept.id, digest, bank)
            self._banks[kept] = bank
            self._made_banks.pop(kept, None)
        return self._banks[kept]

    def _let_go(self, told: Switching) -> None:
        needed = [kept for kept in (self._active and self._active.kept, told.filling) if kept]
        if needed:
            self._encoders.let_go({_source_of(kept) for kept in needed}, KEPT_SECONDS)


def _read_bank(reader: TextReader) -> FloatArray:
    texts = neutral_texts()
    parts = (texts[start : start + BANK_BATCH] for start in range(0, len(texts), BANK_BATCH))
    return np.concatenate([reader.encode_texts(part) for part in parts])


def _may_serve(space: EmbeddingSpace, serving: KeptSpace | None, leads: bool) -> bool:
    """Whether a space may be the one that serves: it is, or nothing does, or it is that of the model's new files."""
    return serving is None or space == serving.space or (leads and space.model == serving.space.model)


def _missing(status: ModelStatus, serving: KeptSpace | None) -> str:
    """What keeps a model from answering, and what to do."""
    if serving is None:
        return status.message or ""
    name = serving.space.model
    why = status.message or "its files here are not those that the pictures were embedded with."
    return (
        f"{name} serves this library, and can't be used here: {why} Bring its files here, run this as the user and "
        "with the HF_HOME that have them, or choose another model: python run.py models use NAME."
    )


def _source_of(kept: KeptSpace, unknown: str | None = None) -> str:
    """``unknown``: what stands in where an older version did not keep it."""
    return kept.source or unknown or kept.space.model
