"""Words that stand in the file, beside the look of a picture: what comes first, how sure it is, and why it is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.words import WordHit
from app.errors import ModelNotReady, ModelUnavailable
from app.library import search as search_module
from app.library.fusion import UNSEEN, Found, fuse
from app.library.search import Searcher
from app.models import Band, Match, Reason
from app.vectors.encoder import Encoder
from app.vectors.ranking import Ranking
from tests.library.conftest import Rooms
from tests.library.test_search import ids, names
from tests.pictures import picture, with_captions

LOOKS, NAME, CAPTION = Reason.LOOKS, Reason.NAME, Reason.CAPTION


def named(match: Match) -> str:
    return match.image.filename


@pytest.fixture
def gallery(rooms: Rooms) -> Rooms:
    """Three red pictures, one of them called so, a blue one that is called red, and forty others."""
    rooms.intake.add_bytes(picture("red"), "IMG_2039.jpg")
    rooms.intake.add_bytes(picture("#fa0505"), "Red-Rose_7.jpg")
    rooms.intake.add_bytes(picture("#f50a0a"), "IMG_2041.jpg")
    rooms.intake.add_bytes(picture("blue"), "red.jpg")
    rooms.intake.add_bytes(with_captions("At the hotel", keywords=("red", "sofa"), color="navy"), "b.jpg")
    rooms.intake.add_bytes(picture("#0000e0"), "reddish.jpg")
    rooms.add(*(f"#{level:02x}{level:02x}ff" for level in range(6, 240, 6)))
    rooms.index()
    return rooms


@pytest.fixture
def searcher(gallery: Rooms) -> Searcher:
    return gallery.searcher()


# -- what comes first


def test_what_looks_like_it_and_says_so_comes_first_and_names_displace_no_strong_match(searcher: Searcher) -> None:
    results = searcher.by_text("red")
    why = {named(match): match.why for match in results.matches[:6]}
    assert names(results)[0] == "Red-Rose_7.jpg"
    assert set(names(results)[:5]) == {"Red-Rose_7.jpg", "IMG_2039.jpg", "IMG_2041.jpg", "red.jpg", "b.jpg"}
    strong = [match.band is Band.STRONG for match in results.matches]
    assert strong == sorted(strong, reverse=True)
    assert why["Red-Rose_7.jpg"] == (LOOKS, NAME)
    assert why["IMG_2039.jpg"] == (LOOKS,)
    assert why["red.jpg"] == (NAME,)
    assert why["b.jpg"] == (CAPTION,)


def test_whole_words_count_as_matches_and_beginnings_do_not(searcher: Searcher) -> None:
    results = searcher.by_text("red")
    bands = {named(match): match.band for match in results.matches}
    assert (bands["red.jpg"], bands["b.jpg"]) == (Band.LIKELY, Band.LIKELY)
    assert bands["Red-Rose_7.jpg"] is Band.STRONG
    assert results.relevant == 5
    assert (bands["reddish.jpg"], names(results)[5]) == (Band.UNCERTAIN, "reddish.jpg"), "first of the less certain"
    assert results.matches[5].why == (NAME,)
    assert results.less_certain == 40
    assert {match.why for match in results.matches[6:]} == {(LOOKS,)}


def test_a_number_names_its_file(searcher: Searcher) -> None:
    for query in ("IMG_2041", "img-2041.jpg", "2041"):
        first = searcher.by_text(query).matches[0]
        assert (named(first), first.band) == ("IMG_2041.jpg", Band.STRONG)
        assert NAME in first.why
    assert names(searcher.by_text("red rose 7"))[0] == "Red-Rose_7.jpg"


def test_score_and_relevance_tell_of_the_look_alone(searcher: Searcher) -> None:
    match = next(match for match in searcher.by_text("red").matches if named(match) == "red.jpg")
    assert match.score is not None
    assert match.relevance is not None
    assert (match.relevance < 0.5, match.band) == (True, Band.LIKELY)


def test_pictures_that_have_no_vector_yet_are_found_by_their_words(gallery: Rooms, searcher: Searcher) -> None:
    gallery.intake.add_bytes(picture("yellow"), "Sunflower red 55.jpg")
    match = searcher.by_text("sunflower").matches[0]
    assert (named(match), match.score, match.relevance, match.why) == ("Sunflower red 55.jpg", None, None, (NAME,))
    assert names(searcher.by_text("red"))[3:6].count("Sunflower red 55.jpg") == 1
    assert searcher.by_text("red").less_certain == 40


def test_weighted_words_are_looked_for_and_those_with_a_minus_are_not(searcher: Searcher) -> None:
    assert searcher.by_text("+2:sofa").matches[0].why[-1] is CAPTION
    assert searcher.by_text("hotel +2:sofa").matches[0].why[-1] is CAPTION
    assert {match.why for match in searcher.by_text("-sofa").matches} == {(LOOKS,)}
    assert "b.jpg" in names(searcher.by_text("sofa -green")), "what is pushed away is a look"


def test_likes_and_conditions_have_no_words(searcher: Searcher) -> None:
    assert {match.why for match in searcher.by_text("like:1").matches} == {(LOOKS,)}
    assert {match.why for match in searcher.by_text("like:1 red").matches} == {(LOOKS,)}
    assert {match.why for match in searcher.by_text("name:red").matches} == {()}
    assert {match.why for match in searcher.similar_to(1).matches} == {(LOOKS,)}


def test_conditions_hold_for_both(searcher: Searcher) -> None:
    assert set(names(searcher.by_text("red name:red"))) == {"Red-Rose_7.jpg", "red.jpg", "reddish.jpg"}
    assert names(searcher.by_text("red name:nowhere")) == []
    assert "red.jpg" not in names(searcher.by_text("red -name:red"))


# -- pages


@pytest.mark.parametrize("query", ["red", "2041", "red rose", "blue", "img", "red sort:newest", "red sort:oldest"])
def test_pages_are_parts_of_one_answer(searcher: Searcher, query: str) -> None:
    whole = searcher.by_text(query, limit=100)
    assert len(set(ids(whole))) == len(whole.matches)
    for limit in (1, 2, 3, 7, 50):
        pages = [searcher.by_text(query, offset, limit) for offset in range(0, len(whole.matches), limit)]
        assert [match for page in pages for match in page.matches] == list(whole.matches)
        assert [page.has_more for page in pages] == [True] * (len(pages) - 1) + [False]
        assert {(page.relevant, page.less_certain) for page in pages} == {(whole.relevant, whole.less_certain)}
    if not whole.by_date:
        assert whole.relevant is not None
        assert whole.less_certain == len(whole.matches) - whole.relevant


def test_by_date_stand_all_matches_by_look_or_word(searcher: Searcher) -> None:
    newest = searcher.by_text("red sort:newest")
    assert names(newest) == ["b.jpg", "red.jpg", "IMG_2041.jpg", "Red-Rose_7.jpg", "IMG_2039.jpg"]
    assert names(searcher.by_text("red sort:oldest")) == names(newest)[::-1]
    assert newest.relevant == 5


def test_more_matches_than_a_page_reaches_change_nothing(
    gallery: Rooms, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = searcher.by_text("blue", limit=100)
    assert whole.relevant is not None
    assert whole.relevant > 3
    assert ids(searcher.by_text("blue", 0, 2)) == ids(whole)[:2]
    monkeypatch.setattr(search_module, "DEEPEST_RESULT", 4)
    assert len(searcher.by_text("red sort:newest", limit=4).matches) == 4


# -- without a model


def test_while_the_model_loads_words_answer_alone(gallery: Rooms) -> None:
    loading = gallery.searcher(start=False)
    results = loading.by_text("red")
    assert results.words_alone
    assert (results.relevant, results.less_certain, results.model, results.has_more) == (3, 1, "", False)
    assert names(results) == ["red.jpg", "Red-Rose_7.jpg", "b.jpg", "reddish.jpg"]
    assert {(match.score, match.relevance) for match in results.matches} == {(None, None)}
    assert [ids(loading.by_text("red", offset, 1)) for offset in range(4)] == [[image_id] for image_id in ids(results)]
    assert names(loading.by_text("red sort:oldest")) == ["Red-Rose_7.jpg", "red.jpg", "b.jpg"]
    with pytest.raises(ModelNotReady):
        loading.by_text("nowhere to be read")
    with pytest.raises(ModelNotReady):
        loading.by_text("red like:1")


def test_without_any_model_too(gallery: Rooms) -> None:
    def load() -> Encoder:
        raise ModelUnavailable("There is no such model.")

    searcher = gallery.searcher(load)
    assert names(searcher.by_text("img 2041")) == ["IMG_2041.jpg"]
    with pytest.raises(ModelUnavailable):
        searcher.by_text("nowhere")


def test_before_anything_is_embedded_names_are_found(rooms: Rooms) -> None:
    searcher = rooms.searcher()
    rooms.add("red", "blue")
    results = searcher.by_text("red")
    assert (names(results), results.relevant, results.less_certain) == (["red.jpg"], 1, 0)
    assert not results.words_alone


# -- the fusion alone

COUNT = 12


@st.composite
def rankings(draw: st.DrawFn) -> tuple[Ranking, list[WordHit]]:
    order = draw(st.permutations(range(1, COUNT + 1)))
    relevance = np.array(sorted(draw(st.lists(st.floats(-3, 4), min_size=COUNT, max_size=COUNT)), reverse=True))
    matches = int((relevance >= 0).sum())
    ranking = Ranking(np.array(order), np.linspace(0.9, 0.1, COUNT, dtype=np.float32), relevance, matches, COUNT)
    hit_ids = draw(st.lists(st.integers(1, COUNT + 3), unique=True, max_size=8))
    flags = st.booleans()
    hits = []
    for image_id in hit_ids:
        in_name, in_caption, whole = draw(flags), draw(flags), draw(flags)
        in_name = in_name or not in_caption
        hits.append(WordHit(image_id, in_name, in_caption, whole, in_name and whole and draw(flags)))
    return ranking, hits


def seen(ranking: Ranking, hits: list[WordHit]) -> Ranking:
    """As the index answers for the hits alone."""
    chosen = np.isin(ranking.ids, [hit.image_id for hit in hits])
    return Ranking(ranking.ids[chosen], ranking.scores[chosen], ranking.relevance[chosen], 0, int(chosen.sum()))


@given(rankings())
def test_the_fused_order_keeps_its_promises(drawn: tuple[Ranking, list[WordHit]]) -> None:
    ranking, hits = drawn
    everything = fuse(ranking, hits, seen(ranking, hits))
    found = [one.image_id for one in everything]
    assert sorted(found) == sorted({*ranking.ids.tolist(), *(hit.image_id for hit in hits)}), "each once, none lost"
    bands = [list(Band).index(one.band) for one in everything if not one.named]
    assert bands == sorted(bands)
    assert [one.named for one in everything] == sorted((one.named for one in everything), reverse=True)
    by_look_alone = [one.image_id for one in everything if one.hit is None]
    assert by_look_alone == [i for i in ranking.ids.tolist() if i in by_look_alone], "by looks as before"
    assert all(one.why for one in everything)
    for reach in range(ranking.matches + len(hits), COUNT + 1):  # a shorter ranking gives the same beginning
        cut = Ranking(ranking.ids[:reach], ranking.scores[:reach], ranking.relevance[:reach], ranking.matches, COUNT)
        shorter = fuse(cut, hits, seen(ranking, hits))
        assert shorter[: reach - len(hits)] == everything[: reach - len(hits)]


def test_without_words_the_order_is_that_of_the_look() -> None:
    ranking = Ranking(np.array([5, 2, 9]), np.ones(3, np.float32), np.array([3.0, 0.5, -2.0]), 2, 3)
    bands = [(one.image_id, one.band) for one in fuse(ranking, [], UNSEEN)]
    assert bands == [(5, Band.STRONG), (2, Band.LIKELY), (9, Band.UNCERTAIN)]
    assert Found(1).why == (LOOKS,)
