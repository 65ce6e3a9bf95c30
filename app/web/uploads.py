"""Files that come in over HTTP, taken in one by one: whatever is wrong with one of them costs only that one."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.errors import CatalogUnavailable, InvalidInput, StorageUnavailable, TooLarge
from app.library.intake import Intake, clean_name
from app.media.store import Incoming
from app.models import Outcome, UploadResult
from app.web.multipart import Part, read_files

log = logging.getLogger(__name__)

PICTURES_AT_ONCE = 4
"""Searches by a picture that are worked on at once: they wait for decoders, and pages must not wait with them."""
QUERY_BYTES = 50_000_000
"""Largest picture to search by, or to come as JSON: it is held in memory."""
MOST_REFUSED = 1000
"""Files beyond `UploadLimits.files` that are still answered one by one."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """``file_bytes``: of one file. ``files``: in one request."""

    file_bytes: int
    files: int

    @property
    def file_mb(self) -> int:
        return self.file_bytes // 1_000_000


async def take_in(request: Request, intake: Intake, limits: UploadLimits) -> list[UploadResult]:
    """Take in every file of a multipart body, under whatever field name, while the body still comes in."""
    outcomes = _Outcomes()

    def begin(_field: str, filename: str) -> Part:
        if len(outcomes) >= limits.files + MOST_REFUSED:
            raise TooLarge(f"One upload holds at most {limits.files:,} files (GLIMPSE_MAX_FILES). Send fewer at once.")
        return _UploadPart(intake, limits, filename, outcomes)

    try:
        await read_files(request, begin)
        return await run_in_threadpool(outcomes.results)
    finally:
        await run_in_threadpool(outcomes.close)


def take_in_bytes(data: bytes, filename: str, intake: Intake, limits: UploadLimits) -> UploadResult:
    """Take in one file that is in memory already."""
    outcomes = _Outcomes()
    try:
        part = _UploadPart(intake, limits, filename or "unnamed", outcomes)
        part.write(data)
        part.end()
        return outcomes.results()[0]
    finally:
        outcomes.close()


class _Outcomes:
    """What becomes of each file, in the order sent.

    A file that is whole is put on disk in a thread of its own while the next one is read and hashed: the one waits for
    the disk, the other computes. Never more than one, so that no heap of open files can grow.
    """

    def __init__(self) -> None:
        self._behind = ThreadPoolExecutor(1, thread_name_prefix="take-in")
        self._futures: list[Future[UploadResult]] = []
        self.out_of_reach: CatalogUnavailable | StorageUnavailable | None = None
        """Why a file could not be taken in, if it was the catalog or the object store."""

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, work: Callable[[], UploadResult]) -> None:
        wait(self._futures[-1:])
        self._futures.append(self._behind.submit(work))

    def results(self) -> list[UploadResult]:
        """Of all files; waits for the last one. Raises what is `out_of_reach` if that is why none was taken in."""
        results = [future.result() for future in self._futures]
        if self.out_of_reach and all(result.outcome is Outcome.REJECTED for result in results):
            raise self.out_of_reach
        return results

    def close(self) -> None:
        """No more files will come. Waits for those that came in whole: they are kept, whatever became of the rest."""
        self._behind.shutdown()


class _UploadPart:
    def __init__(self, intake: Intake, limits: UploadLimits, filename: str, outcomes: _Outcomes) -> None:
        self._intake = intake
        self._limits = limits
        self._filename = filename
        self._outcomes = outcomes
        self._incoming: Incoming | None = None
        self._reason: str | None = None
        if len(outcomes) >= limits.files:
            self._reason = f"One upload holds at most {limits.files:,} files (GLIMPSE_MAX_FILES). Send it again alone."

    def write(self, data: bytes) -> None:
        if self._reason is not None:
            return  # the rest of a refused file is read past
        try:
            if self._incoming is None:
                self._incoming = self._intake.incoming()
            self._incoming.write(data)
        except OSError as error:
            self._refuse(_disk_reason(error))
            return
        if self._incoming.bytes > self._limits.file_bytes:
            self._refuse(f"The file is larger than {self._limits.file_mb:,} MB (GLIMPSE_MAX_FILE_MB).")

    def end(self) -> None:
        if self._incoming is None and not self._filename:
            return  # a form that was sent without a file being chosen
        incoming, self._incoming = self._incoming, None
        self._outcomes.add(partial(self._outcome, incoming))

    def _outcome(self, incoming: Incoming | None) -> UploadResult:
        if self._reason is None:
            try:
                with incoming or self._intake.incoming() as whole:
                    return self._intake.add(whole, self._filename)
            except OSError as error:
                self._reason = _disk_reason(error)
            except StorageUnavailable as error:
                self._reason = f"{error} Nothing of this file was kept; send it again later."
                self._outcomes.out_of_reach = StorageUnavailable(self._reason)
            except CatalogUnavailable as error:
                self._reason, self._outcomes.out_of_reach = str(error), error
        return UploadResult(clean_name(self._filename), Outcome.REJECTED, reason=self._reason)

    def abort(self) -> None:
        if self._incoming is not None:
            self._incoming.__exit__()
            self._incoming = None

    def _refuse(self, reason: str) -> None:
        self._reason = reason
        self.abort()


def _disk_reason(error: OSError) -> str:
    log.error("file could not be stored reason=%s", error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The server's disk is full. Nothing of this file was kept; make room and send it again."
    return "The server could not store this file. Its log says why; send it again later."


async def read_picture(request: Request, limits: UploadLimits) -> bytes:
    """The one picture of a multipart body, in memory. Raises `InvalidInput` if there is none, `TooLarge`."""
    parts: list[_MemoryPart] = []

    def begin(field: str, _filename: str) -> Part | None:
        if field != "file" or parts:
            return None
        parts.append(_MemoryPart(limits))
        return parts[0]

    await read_files(request, begin)
    if not parts or not parts[0].data:
        raise InvalidInput("Send a picture in the field `file`.")
    return bytes(parts[0].data)


class _MemoryPart:
    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > self._limits.file_bytes:
            raise TooLarge(f"The picture is larger than {self._limits.file_mb:,} MB (GLIMPSE_MAX_FILE_MB).")

    def end(self) -> None:
        """Nothing to do: the bytes are read from `data`."""

    def abort(self) -> None:
        self.data.clear()
