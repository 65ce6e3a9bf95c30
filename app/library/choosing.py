"""Choose: which models there are to choose from, and which one is to serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.catalog.switching import Switches
from app.catalog.vectors import KeptSpace, Vectors
from app.errors import InvalidInput, ModelUnavailable
from app.models import EmbeddingSpace
from app.vectors.background import Encoders
from app.vectors.compiled import measured
from app.vectors.encoder import fingerprint
from app.vectors.known import AUTO, KNOWN, KnownModel, fetch, folder_of, is_folder_name, resolve


class Role(StrEnum):
    """What a model does in this library."""

    SERVES = "serves"
    NEXT = "next"
    """It is to serve: it loads, or its space is filled."""
    KEPT = "kept"
    """Its vectors are kept: to serve again, it embeds only what came since."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that can be chosen by ``source``. ``here``: it lies on this machine."""

    source: str
    name: str
    here: bool
    role: Role | None = None
    known: KnownModel | None = None
    dimension: int | None = None
    per_second: float | None = None
    """Pictures, as measured on this machine."""
    bundled: bool = False


class Chooser:
    """``starter``: the folder of the bundled model; ``compiled``: where figures of models lie; ``wake``: the worker."""

    def __init__(
        self,
        switches: Switches,
        vectors: Vectors,
        encoders: Encoders,
        starter: Path,
        compiled: Path,
        wake: Callable[[], None],
    ) -> None:
        self._switches = switches
        self._vectors = vectors
        self._encoders = encoders
        self._starter = starter
        self._compiled = compiled
        self._wake = wake

    def models(self) -> list[ListedModel]:
        """What serves and is to, the bundled model, those that are known, and others that served. Asks no network."""
        roles, speeds, known = self._roles(), measured(self._compiled), {one.name: one for one in KNOWN}
        spaces = {source_of(kept): kept.space for kept in self._vectors.spaces()}
        by_role = sorted(roles, key=lambda source: list(Role).index(roles[source]))
        sources = dict.fromkeys([*by_role, self._starter.name, *known, *spaces])
        return [
            self._listed(source, known.get(source), spaces.get(source), roles.get(source), speeds) for source in sources
        ]

    def serving(self) -> str | None:
        """Name of the model that serves."""
        serving = self._vectors.serving()
        return serving.space.model if serving else None

    def _listed(
        self,
        source: str,
        known: KnownModel | None,
        space: EmbeddingSpace | None,
        role: Role | None,
        speeds: dict[str, float],
    ) -> ListedModel:
        name = space.model if space else source
        dimension = known.dimension if known else space.dimension if space else None
        here = folder_of(source, self._starter) is not None
        bundled = source == self._starter.name
        return ListedModel(source, name, here, role, known, dimension, speeds.get(name), bundled)

    def _roles(self) -> dict[str, Role]:
        told, serving = self._switches.read(), self._vectors.serving()
        roles = {source_of(told.previous): Role.KEPT} if told.previous else {}
        if told.wanted is not None:
            roles[self.source(told.wanted)] = Role.NEXT
        if serving is not None:
            roles[source_of(serving)] = Role.SERVES
        return roles

    def source(self, name: str) -> str:
        """The one form of a model's name or folder."""
        return resolve(name, self._starter)

    def fetch(self, name: str, progress: Callable[[int, int], None]) -> bool:
        """Have a model in the local cache: ``False`` if it was on this machine before.

        ``progress`` is told how many bytes are here, and of how many. Raises `ModelUnavailable`.
        """
        if folder_of(self.source(name), self._starter) is not None:
            return False
        if is_folder_name(name):
            raise ModelUnavailable(f"There is no model folder {name}.")
        fetch(name, progress)
        return True

    def try_out(self, name: str) -> None:
        """Load a model in this process, to see whether it can be. Raises `ModelUnavailable`."""
        model = self._encoders.of(name)
        model.wait()
        model.get()

    def use(self, name: str) -> None:
        """Have a model serve as soon as its space is filled. The one that serves goes on until then.

        To choose the one that serves ends a filling. Whether the model can be loaded is found out in the background:
        if not, nothing changes, and `LibraryStatus.switch` tells.
        """
        serving = self._vectors.serving()
        if serving is not None and self.source(name) == source_of(serving):
            self._switches.stay()
        else:
            # A relative path means something else to the worker; `auto` is to stay what it is.
            self._switches.want(name if name == AUTO else self.source(name))
        self._wake()

    def use_listed(self, name: str) -> None:
        """The same for somebody who must not name just anything. Raises `InvalidInput`."""
        if name not in {model.source for model in self.models()}:
            raise InvalidInput("Choose a model from the list. Others: python run.py models use NAME.")
        self.use(name)

    def roll_back(self) -> str:
        """Have the previous model serve, at once, and return its name.

        Its vectors are there; pictures that came since are embedded in the background. Raises `NotFound` if there is
        none, and `ModelUnavailable` if its files are not what they were: then nothing changes.
        """
        previous = self._switches.read().previous
        if previous is not None:
            folder = folder_of(source_of(previous), self._starter)
            if folder is None or fingerprint(folder) != previous.space.fingerprint:
                raise ModelUnavailable(
                    f"The files of {previous.space.model} are not here any more as they were. "
                    "Bring them back, or choose another model."
                )
        name = self._switches.roll_back().space.model
        self._wake()
        return name

    def embed_anew(self) -> None:
        """Embed all pictures again with the model that serves. Raises `NotFound` before there is one."""
        self._switches.anew()
        self._wake()

    def complain(self, message: str | None) -> None:
        """Say on every face why a wish could not be met."""
        self._switches.complain(message)


def source_of(kept: KeptSpace) -> str:
    """What the model of a space is loaded from, as far as that is known."""
    return kept.source or kept.space.model
