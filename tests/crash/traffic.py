"""Clients that upload, delete and restore until the server is gone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

import httpx2

from tests.crash.ledger import Picture, State, becoming

MOST_KEPT = 50
"""Pictures of one client; from there on it deletes rather than adds."""
MOST_FILES = 4
"""In one upload."""
LONGEST_REST = 0.03
"""Seconds between two requests of one client."""


class Client:
    """Has pictures of its own, so that what became of each is known from its own requests alone."""

    def __init__(self, url: str, pictures: list[Picture], fresh: Callable[[], Picture], chance: random.Random) -> None:
        self._client = httpx2.Client(base_url=f"{url}/api/v1", timeout=60, trust_env=False)
        self._pictures = pictures
        self._fresh = fresh
        self._chance = chance
        self._stopping = threading.Event()
        self._answered = 0
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._client:
                while not self._stopping.is_set():
                    self._act()
                    self._answered += 1
                    time.sleep(self._chance.uniform(0, LONGEST_REST))
        except httpx2.TransportError:  # the server is gone
            return
        except Exception as failure:
            self._failure = failure

    def end(self) -> int:
        """Stop, if the server's end has not done that. Returns how many requests were answered."""
        self._stopping.set()
        self._thread.join(100)
        if self._failure is not None:
            raise self._failure
        return self._answered

    def _act(self) -> None:
        kept, trashed, gone = (
            [picture for picture in self._pictures if picture.surely(state)]
            for state in (State.KEPT, State.TRASHED, State.ABSENT)
        )
        deeds: dict[Callable[[], None], int] = {}
        if kept + trashed + gone:
            deeds[lambda: self._upload([self._chance.choice(kept + trashed + gone)])] = 1
        if kept:
            deeds[lambda: self._throw_away(self._chance.choice(kept))] = 2
        if kept + trashed:
            deeds[lambda: self._delete(self._chance.choice(kept + trashed))] = 1
        if trashed:
            deeds[lambda: self._restore(self._chance.choice(trashed))] = 1
        if len(kept) < MOST_KEPT:
            deeds[self._upload_new] = 5
        [deed] = self._chance.choices(list(deeds), list(deeds.values()))
        deed()

    def _upload_new(self) -> None:
        new = [self._fresh() for _ in range(self._chance.randint(1, MOST_FILES))]
        self._pictures += new
        self._upload(new)

    def _upload(self, pictures: Sequence[Picture]) -> None:
        before = [next(iter(picture.may_be)) for picture in pictures]
        files = [("files", (picture.filename, picture.data)) for picture in pictures]
        with becoming(State.KEPT, pictures):
            results = self._ask("POST", "/images", 200, files=files).json()["results"]
            for picture, result, was in zip(pictures, results, before, strict=True):
                assert result["outcome"] == ("duplicate" if was is State.KEPT else "added"), (picture.number, result)
                assert was is State.ABSENT or result["id"] == picture.id, (picture.number, result)
                if was is State.ABSENT:
                    picture.id, picture.shown_as = result["id"], picture.filename

    def _throw_away(self, picture: Picture) -> None:
        with becoming(State.TRASHED, [picture]):
            self._ask("DELETE", f"/images/{picture.id}", 204)

    def _restore(self, picture: Picture) -> None:
        with becoming(State.KEPT, [picture]):
            self._ask("POST", f"/images/{picture.id}/restore", 200)

    def _delete(self, picture: Picture) -> None:
        with becoming(State.ABSENT, [picture]):
            self._ask("DELETE", f"/images/{picture.id}?forever=true", 204)

    def _ask(self, method: str, path: str, expected: int, **content: object) -> httpx2.Response:
        answer = self._client.request(method, path, **content)  # type: ignore[arg-type]
        assert answer.status_code == expected, (method, path, answer.status_code, answer.text)
        return answer


class Emptier:
    """Empties the trash once, while nobody else does anything."""

    def __init__(self, url: str, pictures: Sequence[Picture]) -> None:
        self._url = url
        self._pictures = [picture for picture in pictures if picture.surely(State.TRASHED)]
        self._answered = 0
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            with becoming(State.ABSENT, self._pictures):
                answer = httpx2.delete(f"{self._url}/api/v1/trash", timeout=60, trust_env=False)
                self._answered = answer.status_code == 204
        except httpx2.TransportError:
            return

    def end(self) -> int:
        self._thread.join(100)
        return self._answered
