"""What a page costs does not grow with what it shows: one statement per concern, however many tiles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event

from app.config import Settings
from tests.conftest import Glimpse, running
from tests.pictures import unique_pictures

PAGES = (
    "/",
    "/search?q=something+red",
    "/search?q=type:jpeg",
    "/search?q=red+type:jpeg",
    "/search?like=1",
    "/images/1",
)


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of the catalog meanwhile."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def asked_for(glimpse: Glimpse, page: str) -> tuple[int, int]:
    """Statements and tiles of a page that was asked for before.

    The fewest of several times: the server's own threads look at the catalog each second, and are heard, too.
    """
    glimpse.client.get(page)
    costs = []
    for _ in range(5):
        with statements() as asked:
            answer = glimpse.client.get(page)
        assert answer.status_code == 200
        costs.append(len(asked))
    return min(costs), answer.text.count("data-tile=")


def test_statements_do_not_grow_with_tiles(settings: Settings) -> None:
    with running(settings.model_copy(update={"page_size": 60})) as glimpse:
        pictures = [(f"{number}.jpg", data) for number, data in enumerate(unique_pictures(60))]
        glimpse.upload(*pictures[:2])
        glimpse.work()
        few = {page: asked_for(glimpse, page) for page in PAGES}
        glimpse.upload(*pictures[2:])
        glimpse.work()
        many = {page: asked_for(glimpse, page) for page in PAGES}
    for page in PAGES:
        (before, tiles_before), (after, tiles_after) = few[page], many[page]
        assert tiles_after > tiles_before, page
        assert after <= before, page
        assert after <= 20, page
