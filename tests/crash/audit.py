"""Is everything there that was promised, and nothing else? Asked of a running server and of its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from app.catalog.access import AccessRecords
from app.catalog.database import Database
from app.catalog.vectors import Vectors
from app.config import Settings
from app.library.picture_links import PictureLinks
from app.main import create_doctor
from tests.conftest import wait_for
from tests.crash.ledger import Picture, State
from tests.flows.processes import Server


def was_given_up(image: dict[str, Any]) -> bool:
    """Whether it was claimed by three workers that were killed: nobody can know that it was not to blame."""
    return "stopped the program" in str(image["reason"])


class Audit:
    """Of one library. ``pictures``: all that were ever handed in."""

    def __init__(self, server: Server, pictures: Sequence[Picture]) -> None:
        self._server = server
        self._settings = Settings(_env_file=None, data=server.data, worker=False)
        self._pictures = {picture.md5: picture for picture in pictures}

    def first_look(self) -> None:
        """Before a new server has had the time to repair anything: what it shows is already true."""
        self._shown()

    def whole(self, restarted: bool) -> int:
        """Everything. ``restarted``: a start had the chance to clear away what a crash has left.

        From then on it is known again where each picture is. Returns how many were found by their own vectors.
        """
        if restarted:
            wait_for(lambda: not self._orphans())
        self._settle()
        self._assert_originals()
        wait_for(lambda: not self._findings())  # there may be some for moments, beside a worker
        return self._assert_found_by_own_vectors()

    def _shown(self) -> dict[str, tuple[State, dict[str, Any]]]:
        """Where the server says that each picture is, and as what: no other place than it may be in."""
        shown = {item["md5"]: (State.TRASHED, item) for item in self._pages("trash")}
        shown |= {item["md5"]: (State.KEPT, item) for item in self._pages("images")}
        assert shown.keys() <= self._pictures.keys(), "pictures that nobody handed in"
        for md5, picture in self._pictures.items():
            state, item = shown.get(md5, (State.ABSENT, {}))
            assert state in picture.may_be, f"{picture} is {state.value}"
            assert item.get("state") != "failed" or was_given_up(item), item
            if item and len(picture.may_be) == 1:
                assert (item["id"], item["filename"]) == (picture.id, picture.shown_as), f"{picture} is {item}"
        return shown

    def _settle(self) -> None:
        shown = self._shown()
        for md5, picture in self._pictures.items():
            state, item = shown.get(md5, (State.ABSENT, {}))
            picture.may_be = frozenset({state})
            if item:
                picture.id, picture.shown_as = item["id"], item["filename"]

    def _pages(self, of: str) -> list[dict[str, Any]]:
        """Everything in ``images`` or ``trash``."""
        path: str | None = f"/api/v1/{of}?limit=1000"
        found: list[dict[str, Any]] = []
        while path:
            answer = self._server.get(path)
            found += answer["images"]
            path = answer.get("next")
        assert answer.get("total", 0) <= 1000, "the trash is given out in one page"
        return found

    def _orphans(self) -> list[str]:
        """Files that belong to no picture."""
        known = {item["md5"] for of in ("images", "trash") for item in self._pages(of)}
        images = self._settings.images
        files = [path for pattern in ("??/*", "thumbs/*/??/*", ".incoming/*") for path in images.glob(pattern)]
        unfinished = self._settings.index.glob("*.tmp")
        return [str(path) for path in files if path.stem not in known] + [str(path) for path in unfinished]

    def _assert_originals(self) -> None:
        """They have the bytes that were handed in, in the trash as well."""
        for picture in self._pictures.values():
            if not picture.surely(State.ABSENT):
                [path] = self._settings.images.glob(f"{picture.md5[:2]}/{picture.md5}.*")
                assert hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == picture.md5, (
                    f"{picture} has other bytes"
                )

    def _findings(self) -> list[str]:
        """What the doctor says."""
        with create_doctor(self._settings) as doctor:
            return [finding.what for finding in doctor.examine(deep=True)]

    def _assert_found_by_own_vectors(self) -> int:
        """Each indexed picture is what its own vector finds first, and no other picture has one."""
        with closing(Database(self._settings.catalog_url)) as database:
            secret = AccessRecords(database).read().secret
            vectors, serving = Vectors(database), Vectors(database).serving()
            if serving is None:
                return 0
            log = [entry for entries in vectors.log(serving.id).entries(0) for entry in entries]
        links = PictureLinks(lambda: secret)
        own = {entry.image_id: entry.vector for entry in log if entry.vector is not None}
        if own:
            wait_for(lambda: self._server.client.get("/readyz").status_code == 200)
        for image_id, vector in own.items():
            token = links.write(vector, serving.space)
            [first] = self._server.get(f"/api/v1/search?limit=1&picture={token}")["results"]
            assert first["id"] == image_id, f"{image_id} is not found by its own vector, but {first}"
        indexed = {item["id"] for item in self._pages("images") if item["state"] == "indexed"}
        assert own.keys() <= indexed
        return len(own)
