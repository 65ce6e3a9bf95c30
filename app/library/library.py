"""The library as the faces (web, API, command line) see it: the three verbs and what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.catalog.images import Images
from app.catalog.listing import Listing
from app.catalog.receipts import Receipts
from app.catalog.trash import Trash
from app.catalog.vectors import Vectors
from app.catalog.watched import Watched
from app.library.access import Access
from app.library.choosing import Chooser
from app.library.copies import Copies
from app.library.intake import Intake
from app.library.search import Searcher
from app.library.serving import ServedModels
from app.library.status import StatusReader
from app.media.store import Store


@dataclass(frozen=True, slots=True)
class Library:
    """Put together once, in `app.main`."""

    images: Images
    trash: Trash
    store: Store
    receipts: Receipts
    intake: Intake
    searcher: Searcher
    copies: Copies
    models: ServedModels
    chooser: Chooser
    status: StatusReader
    access: Access
    watched: Watched
    listing: Listing
    vectors: Vectors
    identity: Callable[[], str]
    """Which library this is: a UUID."""
