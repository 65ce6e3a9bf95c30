"""Changing the model in a running library: who answers when, from which space, and what becomes of the pictures."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app.catalog.leftovers import Leftovers
from app.catalog.words import Words
from app.errors import InvalidInput, ModelNotReady, ModelUnavailable, NotFound
from app.library.choosing import Chooser, Role
from app.library.filling import Filler
from app.library.picture_links import PictureLinks
from app.library.search import Searcher
from app.library.serving import ServedModels
from app.models import Counts, EmbeddingSpace, FloatArray, Match, ModelState
from app.vectors.background import Encoders
from app.vectors.encoder import Encoder
from app.vectors.known import AUTO
from app.vectors.relevance import neutral_digest, neutral_texts
from app.vectors.snapshots import IndexCache
from tests.encoders import ColourEncoder, FailingEncoder
from tests.library.conftest import Rooms
from tests.pictures import picture


class Rotated(ColourEncoder):
    """Takes red for green, green for blue and blue for red. Same dimension, another space."""

    def __init__(self) -> None:
        super().__init__("rotated", "2")

    def encode_texts(self, texts):  # type: ignore[no-untyped-def]
        vectors = super().encode_texts(texts)
        vectors[:, :3] = np.roll(vectors[:, :3], 1, axis=1)
        return vectors


class Inverted(ColourEncoder):
    """Takes red for blue and blue for red. Same dimension, a third space."""

    def __init__(self) -> None:
        super().__init__("inverted", "3")

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return super().encode_texts(texts)[:, [2, 1, 0, 3]]


MODELS: dict[str, Callable[[], Encoder]] = {
    "colours": ColourEncoder,
    "rotated": Rotated,
    "failing": lambda: Renamed(FailingEncoder(), "failing"),
}


class Renamed:
    """Another encoder's vectors under a name of their own."""

    def __init__(self, encoder: Encoder, name: str) -> None:
        self._encoder = encoder
        self.space = EmbeddingSpace(name, name, encoder.space.dimension)
        self.side, self.batch = encoder.side, encoder.batch
        self.encode_texts = encoder.encode_texts

    def encode_images(self, images) -> FloatArray:  # type: ignore[no-untyped-def]
        return self._encoder.encode_images(images)


def load(source: str) -> Encoder:
    if source not in MODELS:
        raise ModelUnavailable(f"There is no model {source}.")
    return MODELS[source]()


def colour_of(match: Match) -> str:
    return Path(match.image.filename).stem[::-1]


@dataclass
class Running:
    """A server and a worker over one catalog, each with models of its own, moved step by step."""

    rooms: Rooms
    setting: str = "colours"

    def __post_init__(self) -> None:
        rooms = self.rooms
        self.indexes = IndexCache(rooms.folder / "index", 300, rooms.database.identity)
        self.encoders = Encoders(load)
        self.models = ServedModels(self.setting, self.encoders, rooms.vectors, rooms.switches, self.indexes)
        links, words = PictureLinks(lambda: b"secret"), Words(rooms.database)
        self.searcher = Searcher(
            rooms.images, rooms.vectors, words, self.indexes, self.models, rooms.decoder, links, 300
        )
        self.worker_encoders = Encoders(load)
        self.filler = Filler("worker", rooms.switches, rooms.images, rooms.indexer, self.worker_encoders)
        starter = Path("starter")
        self.chooser = Chooser(
            rooms.switches, rooms.vectors, self.encoders, starter, rooms.folder / "compiled", lambda: None
        )
        self.models.settle()
        self.models.follow()

    def fill(self) -> None:
        """As the worker does, to the end."""
        wanted = self.rooms.switches.read().wanted
        if wanted:
            self.worker_encoders.of(wanted).wait(60)
        while self.filler.fill_next_batch():
            pass

    def follow(self) -> None:
        """As the server does each second, with the models that it began to load."""
        self.models.follow()
        for _, model in self.encoders.held():
            model.wait(60)
        self.models.follow()

    def first(self, text: str) -> tuple[str, str]:
        """Colour of the best picture, and name of the model that says so."""
        results = self.searcher.by_text(f"something {text}")
        return colour_of(results.matches[0]), results.model


def add(rooms: Rooms, *colours: str) -> None:
    """Files that are not called what they show, so that words do not find them."""
    for colour in colours:
        rooms.intake.add_bytes(picture(colour), f"{colour[::-1]}.jpg")


@pytest.fixture
def running(rooms: Rooms) -> Running:
    """A red, a green, a blue and a black picture; "colours" serves."""
    add(rooms, "red", "green", "blue", "black")
    rooms.prepare()
    made = Running(rooms)
    while rooms.indexer.embed_next_batch(ColourEncoder()):
        pass
    return made


def test_the_old_model_answers_until_the_new_one_has_every_picture(running: Running, rooms: Rooms) -> None:
    running.chooser.use("rotated")
    running.follow()
    assert running.first("red") == ("red", "colours")
    running.fill()
    assert rooms.images.counts() == Counts(indexed=4)
    assert running.first("red") == ("red", "colours"), "until this server has it"
    running.follow()
    assert running.first("red") == ("green", "rotated")
    assert running.models.status.name == "rotated"


def test_the_old_model_is_let_go_also_where_it_was_the_first(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    old = weakref.ref(running.models.active().model)
    running.chooser.use("rotated")
    running.fill()
    running.follow()
    assert old() is not None
    monkeypatch.setattr("app.library.serving.KEPT_SECONDS", 0.0)
    running.models.follow()
    gc.collect()
    assert old() is None


def test_no_answer_is_empty_at_any_step(running: Running) -> None:
    running.chooser.use("rotated")
    found: list[tuple[str, str]] = []
    running.worker_encoders.of("rotated").wait(60)
    for step in (running.models.follow, running.filler.fill_next_batch) * 8:
        step()
        found.append(running.first("red"))
    running.follow()
    found.append(running.first("red"))
    assert set(found) == {("red", "colours"), ("green", "rotated")}
    assert found == sorted(found, key=lambda answer: answer[1]), "and it changes once"


def test_a_server_that_starts_in_the_middle_goes_on_with_the_old_model(running: Running, rooms: Rooms) -> None:
    running.chooser.use("rotated")
    running.worker_encoders.of("rotated").wait(60)
    running.filler.fill_next_batch()
    later = Running(rooms)
    assert later.first("red") == ("red", "colours")
    later.fill()
    later.follow()
    assert later.first("red")[1] == "rotated"


def test_a_model_that_cannot_be_had_changes_nothing_and_is_told(running: Running, rooms: Rooms) -> None:
    running.chooser.use("nonsense")
    running.fill()
    running.follow()
    told = rooms.switches.read()
    assert (told.wanted, told.failure) == (None, "There is no model nonsense.")
    assert running.first("red") == ("red", "colours")
    MODELS["nonsense"] = Rotated
    try:
        running.chooser.use("nonsense")
        running.fill()
        assert rooms.switches.read().failure is None, "asked for again, it is loaded again"
    finally:
        del MODELS["nonsense"]


def other_worker(rooms: Rooms, load: Callable[[str], Encoder]) -> tuple[Filler, Encoders]:
    """A second one, with models of its own."""
    encoders = Encoders(load)
    encoders.of("rotated").wait(60)
    return Filler("elsewhere", rooms.switches, rooms.images, rooms.indexer, encoders), encoders


def test_a_worker_that_lacks_the_model_ends_nobodys_filling_and_tries_again(
    running: Running, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.chooser.use("rotated")
    rooms.switches.begin("rotated", Rotated().space, "rotated")
    begun, here = rooms.switches.read(), [False]
    other, encoders = other_worker(rooms, lambda source: load(source if here[0] else "nothing like it"))
    assert other.fill_next_batch() == 0
    assert rooms.switches.read() == begun
    assert other.complaint == "rotated is filled, and this worker can't load it: There is no model nothing like it."
    here[0] = True
    assert other.fill_next_batch() == 0, "not all the time"
    monkeypatch.setattr("app.vectors.background.RETRY_SECONDS", 0.0)
    other.fill_next_batch()
    encoders.of("rotated").wait(60)
    assert other.fill_next_batch() == 4
    told = other.complaint
    assert told is None


@pytest.mark.parametrize("again", [False, True])
def test_a_worker_with_other_files_of_the_model_leaves_a_filling_alone(
    running: Running, rooms: Rooms, again: bool
) -> None:
    running.chooser.use("rotated")
    rooms.switches.begin("rotated", Rotated().space, "rotated")
    if again:
        running.fill()
        running.chooser.embed_anew()
    begun = rooms.switches.read()
    other, _ = other_worker(rooms, lambda _source: ColourEncoder("rotated", "replaced"))
    assert other.fill_next_batch() == 0
    assert rooms.switches.read() == begun
    assert "This worker has other files of rotated than what is filled" in (other.complaint or "")
    running.fill()
    other.fill_next_batch()
    told = other.complaint
    assert told is None, "that is over"
    serving = rooms.vectors.serving()
    assert serving is not None
    assert serving.space == Rotated().space


def test_a_server_that_lacks_the_next_model_says_so_goes_on_and_tries_again(
    running: Running, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated = MODELS["rotated"]
    running.chooser.use("rotated")
    running.fill()
    monkeypatch.delitem(MODELS, "rotated")
    running.follow()
    assert running.first("red") == ("red", "colours")
    assert "this server can't load it: There is no model rotated." in (running.models.status.message or "")
    monkeypatch.setitem(MODELS, "rotated", rotated)
    running.follow()
    assert running.first("red") == ("red", "colours"), "not all the time"
    monkeypatch.setattr(running.models, "_retry_at", 0.0)
    running.follow()
    running.follow()
    assert running.first("red") == ("green", "rotated")
    assert running.models.status.message is None


def test_new_pictures_are_found_with_either_model(running: Running, rooms: Rooms) -> None:
    running.chooser.use("rotated")
    running.worker_encoders.of("rotated").wait(60)
    running.filler.fill_next_batch()
    add(rooms, "yellow")
    rooms.index()
    assert running.first("yellow") == ("yellow", "colours")
    running.fill()
    running.follow()
    assert running.first("white") == ("yellow", "rotated")


def test_a_picture_that_the_new_model_cannot_read_stays_until_then(running: Running, rooms: Rooms) -> None:
    running.chooser.use("failing")
    running.worker_encoders.of("failing").wait(60)
    running.fill()
    assert rooms.images.counts() == Counts(prepared=1, indexed=3)
    while rooms.indexer.embed_next_batch(running.worker_encoders.of("failing").get()):
        pass
    assert rooms.images.counts() == Counts(indexed=3, failed=1)


def test_going_back_and_forth(running: Running, rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.library.choosing.folder_of", lambda source, _starter: Path(source))
    monkeypatch.setattr("app.library.choosing.fingerprint", lambda folder: MODELS[folder.name]().space.fingerprint)
    running.chooser.use("rotated")
    running.fill()
    running.follow()
    add(rooms, "yellow")
    rooms.index(Rotated())
    assert running.chooser.roll_back() == "colours"
    assert rooms.images.counts() == Counts(prepared=1, indexed=4)
    running.follow()
    assert running.first("red") == ("red", "colours")
    rooms.index()
    assert running.first("yellow") == ("yellow", "colours"), "nothing that came since is lost"
    assert running.chooser.roll_back() == "rotated"
    assert rooms.images.counts() == Counts(indexed=5)


def test_back_to_files_that_are_gone_is_refused(running: Running, rooms: Rooms) -> None:
    running.chooser.use("rotated")
    running.fill()
    running.follow()
    with pytest.raises(ModelUnavailable, match="not here any more"):
        running.chooser.roll_back()
    assert running.first("blue")[1] == "rotated"
    assert rooms.vectors.serving() == rooms.vectors.spaces()[1]


def test_two_models_are_compared_while_one_is_filled_and_afterwards(running: Running) -> None:
    with pytest.raises(NotFound, match="one model so far"):
        running.searcher.compare("red")
    running.chooser.use("rotated")
    running.worker_encoders.of("rotated").wait(60)
    running.filler.fill_next_batch()
    serving, other = running.searcher.compare("red", wait=True)
    assert (serving.model, other.model) == ("colours", "rotated")
    assert colour_of(serving.matches[0]) == "red"
    assert colour_of(other.matches[0]) == "green"
    running.fill()
    running.follow()
    serving, other = running.searcher.compare("red", wait=True)
    assert (serving.model, other.model) == ("rotated", "colours")
    with pytest.raises(InvalidInput, match="Describe"):
        running.searcher.compare("type:jpeg")


def test_a_comparison_does_not_wait_for_a_model(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.chooser.use("rotated")
    running.fill()
    running.follow()
    running.encoders.forget("colours")
    colours = running.encoders.of("colours")
    assert colours.wait(60)  # its thread is through; from here on it looks as if it were not, and waiting would raise
    monkeypatch.setattr(colours, "_encoder", None)
    monkeypatch.setattr(colours, "_done", None)
    with pytest.raises(ModelNotReady):
        running.models.other()


def test_a_space_that_gets_the_number_of_a_pruned_one_has_nothing_of_it(
    running: Running, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.chooser.use("rotated")
    running.fill()
    running.follow()
    rotated = rooms.vectors.serving()
    assert rotated is not None
    rooms.switches.roll_back()
    running.follow()
    Leftovers(rooms.database).forget_space(rotated.id)
    monkeypatch.setitem(MODELS, "inverted", Inverted)
    running.chooser.use("inverted")
    running.fill()
    running.follow()
    assert running.first("red") == ("blue", "inverted")
    answering = running.models.active()
    assert np.allclose(answering.bank, Inverted().encode_texts(neutral_texts()), atol=1e-6)
    assert rooms.vectors.bank(answering.kept.id, neutral_digest()) is not None


def test_the_same_pictures_with_the_same_model_again(running: Running, rooms: Rooms) -> None:
    serving = rooms.vectors.serving()
    assert serving is not None
    before = rooms.vectors.log(serving.id).newest()
    running.chooser.embed_anew()
    running.follow()
    running.fill()
    assert rooms.vectors.log(serving.id).newest() == before + 4
    assert running.first("red") == ("red", "colours")
    assert rooms.switches.read().wanted is None


# -- settings and choices


def test_another_setting_is_filled_beside_what_serves(running: Running, rooms: Rooms) -> None:
    assert running.first("red")[1] == "colours"
    later = Running(rooms, "rotated")
    assert later.first("red") == ("red", "colours")
    assert rooms.switches.read().wanted == "rotated"
    later.fill()
    later.follow()
    assert later.first("red")[1] == "rotated"
    again = Running(rooms, "rotated")
    assert (again.first("red")[1], rooms.switches.read().wanted) == ("rotated", None)


def test_a_choice_outlasts_starts_with_the_same_setting(running: Running, rooms: Rooms) -> None:
    running.chooser.use("rotated")
    running.fill()
    later = Running(rooms)
    assert (later.first("blue")[1], rooms.switches.read().wanted) == ("rotated", None)
    changed = Running(rooms, "failing")
    assert (changed.first("blue")[1], rooms.switches.read().wanted) == ("rotated", "failing")


def test_a_setting_that_cannot_be_had_leaves_the_old_model(running: Running, rooms: Rooms) -> None:
    later = Running(rooms, "nonsense")
    later.fill()
    assert later.first("red") == ("red", "colours")
    assert rooms.switches.read().failure == "There is no model nonsense."


def test_where_the_old_model_is_gone_the_setting_serves_once_it_is_filled(
    running: Running, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(MODELS, "colours")
    later = Running(rooms, "rotated")
    assert later.models.status.state is ModelState.UNAVAILABLE
    assert rooms.images.counts() == Counts(indexed=4), "other servers may have it"
    later.fill()
    later.follow()
    assert later.first("red") == ("green", "rotated")


def test_a_server_that_lacks_what_serves_leaves_the_library_alone_and_tries_again(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, AUTO, ColourEncoder)
    add(rooms, "red", "green")
    rooms.prepare()
    Running(rooms, AUTO)
    while rooms.indexer.embed_next_batch(ColourEncoder()):
        pass
    before = rooms.switches.read()
    monkeypatch.delitem(MODELS, "colours")
    monkeypatch.setitem(MODELS, AUTO, Rotated)
    later = Running(rooms, AUTO)
    assert rooms.switches.read() == before, "neither does another serve, nor is one wanted"
    assert rooms.images.counts() == Counts(indexed=2)
    assert later.models.status.state is ModelState.UNAVAILABLE
    with pytest.raises(ModelUnavailable, match=r"colours serves this library, .*There is no model colours\. Bring"):
        later.first("red")
    monkeypatch.setitem(MODELS, "colours", ColourEncoder)
    later.follow()
    assert later.models.status.state is ModelState.UNAVAILABLE, "not all the time"
    monkeypatch.setattr(later.models, "_retry_at", 0.0)
    later.follow()
    assert later.first("red") == ("red", "colours")
    assert later.models.status.message is None


def test_the_first_model_that_could_not_be_had_is_tried_again(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    later = Running(rooms, "nonsense")
    assert later.models.status.message == "There is no model nonsense."
    monkeypatch.setitem(MODELS, "nonsense", ColourEncoder)
    monkeypatch.setattr(later.models, "_retry_at", 0.0)
    later.follow()
    assert later.models.status.state is ModelState.READY


def test_a_model_that_takes_over_while_a_server_starts_is_not_undone(
    running: Running, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> Encoder:
        running.fill()
        return ColourEncoder()

    running.chooser.use("rotated")
    running.worker_encoders.of("rotated").wait(60)
    monkeypatch.setitem(MODELS, "colours", slow)
    assert Running(rooms).first("red") == ("green", "rotated")


def test_a_library_from_before_sources_were_kept_learns_its_own(rooms: Rooms) -> None:
    rooms.vectors.serve(ColourEncoder().space)
    add(rooms, "red")
    rooms.index()
    later = Running(rooms)
    serving = rooms.vectors.serving()
    assert serving is not None
    assert (serving.source, rooms.switches.read().wanted) == ("colours", None)
    assert later.first("red") == ("red", "colours")


def test_choosing_what_serves_ends_a_filling(running: Running, rooms: Rooms) -> None:
    running.chooser.use("rotated")
    running.chooser.use("colours")
    assert rooms.switches.read().wanted is None


# -- another text tower


class Spanish(ColourEncoder):
    """Reads "rojo" as "red", in the space of the colours."""

    def __init__(self) -> None:
        super().__init__("spanish", "tower")

    def encode_texts(self, texts):  # type: ignore[no-untyped-def]
        return super().encode_texts([text.replace("rojo", "red") for text in texts])


def with_tower(running: Running, load_tower: Callable[[], Encoder]) -> ServedModels:
    rooms = running.rooms
    arguments = (running.encoders, rooms.vectors, rooms.switches, running.indexes)
    models = ServedModels("colours", *arguments, load_tower)
    models.follow()
    running.searcher._models = models
    return models


def test_another_tower_reads_the_words_and_no_picture_is_embedded_again(running: Running, rooms: Rooms) -> None:
    serving = rooms.vectors.serving()
    assert serving is not None
    before, bank = rooms.vectors.log(serving.id).newest(), rooms.vectors.bank(serving.id)
    english = running.searcher.by_text("something red")
    models = with_tower(running, Spanish)
    assert running.searcher.by_text("something rojo").matches == english.matches
    assert models.status.text_model == "spanish"
    assert models.status.message is None
    assert rooms.vectors.log(serving.id).newest() == before
    assert rooms.vectors.bank(serving.id, neutral_digest()) is None, "the neutral texts belong to the pair"
    own = rooms.vectors.bank(serving.id, neutral_digest("tower"))
    assert own is not None
    assert bank is not None
    assert np.allclose(own, bank)


def test_a_tower_that_does_not_belong_there_is_not_used(running: Running) -> None:
    models = with_tower(running, lambda: Renamed(Rotated(), "stranger"))
    assert running.first("red") == ("red", "colours")
    assert "stranger does not belong to colours" in (models.status.message or "")
    assert models.status.text_model is None


def test_a_tower_that_cannot_be_had_leaves_the_model_its_own(running: Running) -> None:
    models = with_tower(running, lambda: load("nonsense"))
    assert running.first("red") == ("red", "colours")
    assert models.status.message == "There is no model nonsense. Words are read by colours itself."


# -- the list


def test_the_list_tells_what_each_model_does(running: Running) -> None:
    running.chooser.use("rotated")
    listed = {model.source: model for model in running.chooser.models()}
    assert [model.source for model in running.chooser.models()][:3] == ["colours", "rotated", "starter"]
    assert (listed["colours"].role, listed["rotated"].role) == (Role.SERVES, Role.NEXT)
    assert listed["clip-ViT-L-14"].dimension == 768
    assert listed["clip-ViT-L-14"].role is None
    assert (listed["starter"].bundled, listed["starter"].here) == (True, True)
    running.fill()
    roles = {model.source: model.role for model in running.chooser.models() if model.role}
    assert roles == {"rotated": Role.SERVES, "colours": Role.KEPT}


def test_only_what_is_listed_may_be_chosen_on_a_page(running: Running) -> None:
    with pytest.raises(InvalidInput, match="from the list"):
        running.chooser.use_listed("/etc")
    running.chooser.use_listed("clip-ViT-B-32")
