"""Pictures in a bucket of an S3-compatible object store, by the names they have in a folder.

An original is written once, under its digest, and never changed: whoever writes the same picture at the same moment
writes the same bytes. Credentials and region are found by obstore itself, in the environment (``AWS_…``) or from the
instance; they are never read, shown or logged here.

https://developmentseed.org/obstore/latest/ · https://docs.aws.amazon.com/AmazonS3/latest/API/
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from cachetools import TTLCache
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from app.errors import StorageUnavailable
from app.media.pictures import FORMATS
from app.media.store import (
    CHUNK,
    NOTE,
    THUMBNAILS,
    Facts,
    Incoming,
    Inventory,
    Remote,
    Store,
    original_name,
    parse_original,
    thumbnail_name,
)

if TYPE_CHECKING:  # these names exist for type checkers alone
    from obstore import GetOptions, GetResult, PutMode
    from obstore.store import S3Config

log = logging.getLogger(__name__)

ONE_PIECE = 16 << 20
"""Bytes that are sent in one request, held in memory; larger files go in pieces of half of that."""
PIECES_AT_ONCE = 2
BRIEF_SECONDS = 10
"""How long a question, or a small file, may take."""
SILENT_SECONDS = 60
"""How long a transfer may stand still."""
TRANSFER_SECONDS = 1800
CONNECT_SECONDS = 5
STALE_SECONDS = 24 * 3600.0
"""What lies in the scratch folder for longer is not under way any more."""
SIGNED_SECONDS = 3600
REUSED_SECONDS = SIGNED_SECONDS // 2
"""For this long the same address is given out, so that browsers find in their caches what they have."""
STREAMED = 256 << 10
"""Bytes that are passed on at once."""

_THUMBNAIL = re.compile(THUMBNAILS + r"/(?P<width>\d+)/(?P<shard>[0-9a-f]{2})/(?P<md5>(?P=shard)[0-9a-f]{30})\.webp")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_BEHIND_ALL = "~"
"""No name of ours is greater: a list from here on costs one short answer."""


class Bucket(Store):
    """``url``: ``s3://bucket/prefix``. ``scratch``: folder on this machine for files on their way.

    ``endpoint``: of a server other than Amazon's; without TLS only where it says ``http://``. ``signed``: browsers are
    sent to the object store, with addresses that hold for an hour, instead of being served through this process.
    """

    def __init__(self, url: str, scratch: Path, endpoint: str = "", signed: bool = False) -> None:
        self._bucket = urlsplit(url).netloc
        self._prefix = urlsplit(url).path.strip("/")
        self._endpoint = endpoint
        self._scratch = scratch
        self._trouble: str | None = None
        self._checked = -BRIEF_SECONDS * 1.0
        self.place = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
        self.signed = signed
        self.origin = self._signed_origin() if signed else ""
        self.addresses: TTLCache[str, str] = TTLCache(100_000, REUSED_SECONDS)
        self.quick = self._connect(BRIEF_SECONDS)
        self.patient = self._connect(TRANSFER_SECONDS)
        scratch.mkdir(parents=True, exist_ok=True)

    def _connect(self, seconds: float, key: str = "") -> S3Store:
        """Opens no connection yet. ``key``: used in place of credentials."""
        config: S3Config = {"endpoint": self._endpoint} if self._endpoint else {}
        if key:
            config |= {"access_key_id": key, "secret_access_key": key}
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            config=config,
            client_options={
                "allow_http": self._endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "read_timeout": timedelta(seconds=min(seconds, SILENT_SECONDS)),
                "timeout": timedelta(seconds=seconds),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=BRIEF_SECONDS)},
        )

    def _signed_origin(self) -> str:
        """Scheme and host of signed addresses; told without credentials, which may not be there yet."""
        split = urlsplit(obstore.sign(self._connect(BRIEF_SECONDS, "none"), "GET", "any", timedelta(seconds=1)))
        return f"{split.scheme}://{split.netloc}"

    # -- the object store and its absence -----------------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        return self._trouble

    def reach(self) -> None:
        """Asked as well before something is called missing: without a bucket every object is "not found"."""
        if self._trouble is None and time.monotonic() - self._checked < BRIEF_SECONDS:
            return
        with self.asking():
            next(iter(obstore.list(self.quick, offset=_BEHIND_ALL)), None)
        self._checked = time.monotonic()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around each request: whatever fails becomes a `StorageUnavailable` that says no more than a page may show."""
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(f"this is not in {self.place}") from None
        except BaseError as error:
            trouble = f"The pictures in {self.place} can't be reached: {_reason(error)}."
            if trouble != self._trouble:
                log.warning("storage is away reason=%s", trouble)
            self._trouble = trouble
            raise StorageUnavailable(trouble) from None
        if self._trouble is not None:
            log.info("storage is back place=%s", self.place)
            self._trouble = None

    # -- coming in ----------------------------------------------------------------------------------------------

    def incoming(self) -> Incoming:
        """Room on this machine: the bytes are hashed while they come in, and then sent on."""
        return Incoming(self._scratch, durable=False)

    def send(self, incoming: Incoming, format: str) -> None:
        """Send it, unless it is there; nothing to do if it was sent under this name before."""
        name = original_name(incoming.md5, format)
        if incoming.sent_as != name:
            incoming.kept |= self._send(incoming.path, name)
            incoming.sent_as = name

    def keep(self, incoming: Incoming, format: str) -> None:
        self.send(incoming, format)

    def put_back(self, incoming: Incoming, format: str) -> bool:
        self.send(incoming, format)
        return incoming.kept

    def lost(self, incoming: Incoming) -> bool:
        """Look again: a removal of the same picture may have taken it away between sending it and writing its row."""
        return incoming.sent_as is not None and self.size_of(incoming.sent_as) != incoming.bytes

    def confirm(self, incoming: Incoming) -> None:
        if incoming.sent_as is not None:
            self._send(incoming.path, incoming.sent_as)

    def take_over(self, source: Path, name: str) -> None:
        self._send(source, name)

    def _send(self, source: Path, name: str) -> bool:
        """Returns whether it was missing."""
        size, present = source.stat().st_size, self.size_of(name)
        if present == size:
            return False
        with self.asking(), suppress(AlreadyExistsError):  # somebody else just sent the same
            if size > ONE_PIECE:  # what is sent in pieces can't be conditional; the name stands for the content, though
                obstore.put(
                    self.patient,
                    name,
                    source,
                    attributes=_attributes(name),
                    use_multipart=True,
                    chunk_size=ONE_PIECE // 2,
                    max_concurrency=PIECES_AT_ONCE,
                )
            else:
                mode: PutMode = "create" if present is None else "overwrite"  # of another size: torn, or not ours
                obstore.put(self.patient, name, source.read_bytes(), attributes=_attributes(name), mode=mode)
        return True

    def save_thumbnail(self, md5: str, width: int, data: bytes) -> None:
        name = thumbnail_name(md5, width)
        with self.asking():
            obstore.put(self.quick, name, data, attributes=_attributes(name), use_multipart=False)

    def save_thumbnails(self, md5: str, thumbnails: Mapping[int, bytes]) -> None:
        """All at once, since each waits for an answer; a later start does not look for them here."""
        with ThreadPoolExecutor(max(1, len(thumbnails))) as senders:
            for sent in [senders.submit(self.save_thumbnail, md5, *item) for item in thumbnails.items()]:
                sent.result()

    # -- reading ------------------------------------------------------------------------------------------------

    def size_of(self, name: str) -> int | None:
        try:
            with self.asking():
                return obstore.head(self.quick, name)["size"]
        except FileNotFoundError:
            self.reach()
            return None

    def vouches_for(self, name: str, md5: str) -> bool:
        """By the object's ETag, which is the MD5 of what came in one piece, unless it is encrypted with keys of KMS.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
        """
        with self.asking(), suppress(FileNotFoundError):
            return obstore.head(self.quick, name)["e_tag"] == f'"{md5}"'
        return False

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A copy on this machine."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            path = Path(folder, PurePosixPath(name).name)
            self._fetch(name, path)
            yield path

    def _fetch(self, name: str, path: Path) -> None:
        try:
            with self.asking():
                found = obstore.get(self.patient, name)
                with path.open("wb") as file:
                    for chunk in found.stream(CHUNK):
                        file.write(chunk)
        except FileNotFoundError:
            self.reach()

    def read(self, name: str) -> bytes:
        try:
            with self.asking():
                return bytes(obstore.get(self.quick, name).bytes())
        except FileNotFoundError:
            self.reach()
            raise

    def served(self, name: str) -> Remote:
        return _Object(self, name)

    # -- removing -----------------------------------------------------------------------------------------------

    def delete(self, names: Sequence[str]) -> None:
        with self.asking():
            obstore.delete(self.quick, names)

    # -- looking around -----------------------------------------------------------------------------------------

    def found(self, below: str = "") -> Iterator[tuple[str, int]]:
        """Name and size of every object."""
        with self.asking():
            for batch in obstore.list(self.quick, below or None, chunk_size=1000):
                yield from ((meta["path"], meta["size"]) for meta in batch)

    def found_originals(self) -> Iterator[tuple[str, str]]:
        for name, _ in self.found():
            if original := parse_original(name):
                yield original

    def found_strangers(self) -> Iterator[PurePosixPath]:
        for name, _ in self.found():
            if not (parse_original(name) or _THUMBNAIL.fullmatch(name) or name == NOTE):
                yield PurePosixPath(name)

    def found_thumbnails(self, width: int) -> Iterator[str]:
        for name, _ in self.found(f"{THUMBNAILS}/{width}"):
            if thumbnail := _THUMBNAIL.fullmatch(name):
                yield thumbnail["md5"]

    def inventory(self) -> Inventory:
        return _Listing(self)

    def sweep(self) -> None:
        for path in self._scratch.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - STALE_SECONDS:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


class _Object(Remote):
    """An object on its way to a browser: without a thread, so that an object store that hangs holds up no page."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name

    async def facts(self) -> Facts:
        async with self._asking():
            found = await obstore.head_async(self._bucket.quick, self._name)
            return Facts(found["size"], found["last_modified"], found["e_tag"] or "")

    async def read(self, start: int | None = None, stop: int | None = None) -> tuple[Facts, AsyncIterator[bytes]]:
        async with self._asking():
            options: GetOptions = {} if start is None or stop is None else {"range": (start, stop)}
            found = await obstore.get_async(self._bucket.patient, self._name, options=options)
            facts = Facts(found.meta["size"], found.meta["last_modified"], found.meta["e_tag"] or "")
            return facts, self._stream(found)

    async def _stream(self, found: GetResult) -> AsyncIterator[bytes]:
        with self._bucket.asking():
            async for chunk in found.stream(STREAMED):
                yield bytes(chunk)

    async def address(self) -> str | None:
        if not self._bucket.signed:
            return None
        known = self._bucket.addresses.get(self._name)
        if known is None:
            with self._bucket.asking():
                lasting = timedelta(seconds=SIGNED_SECONDS)
                known = await obstore.sign_async(self._bucket.quick, "GET", self._name, lasting)
            self._bucket.addresses[self._name] = known
        return known

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            with self._bucket.asking():
                yield
        except FileNotFoundError:
            await asyncio.to_thread(self._bucket.reach)
            raise


class _Listing:
    """All names at once: some 200 bytes of memory for each picture, instead of four requests.

    What is not in it is asked for: it may have come in since.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._sizes: dict[bytes, int] = {}
        self._thumbnails: dict[int, set[bytes]] = {}
        for name, size in bucket.found():
            if original := parse_original(name):
                self._sizes[_key(*original)] = size
            elif thumbnail := _THUMBNAIL.fullmatch(name):
                self._thumbnails.setdefault(int(thumbnail["width"]), set()).add(bytes.fromhex(thumbnail["md5"]))

    def size(self, md5: str, format: str) -> int | None:
        size = self._sizes.get(_key(md5, format))
        return self._bucket.size(md5, format) if size is None else size

    def has_thumbnail(self, md5: str, width: int) -> bool:
        return bytes.fromhex(md5) in self._thumbnails.get(width, ()) or self._bucket.has_thumbnail(md5, width)


def _key(md5: str, format: str) -> bytes:
    return bytes.fromhex(md5) + format.encode()


def _attributes(name: str) -> dict[str, str]:
    """Headers an object is served with: by content, as everywhere, never by what somebody called it."""
    ending = PurePosixPath(name).suffix[1:]
    kind = FORMATS.get(ending)
    return {
        "Content-Type": kind.media_type if kind else "application/octet-stream",
        "Content-Disposition": "inline" if kind and kind.shown else "attachment",
        "Cache-Control": "private, max-age=31536000, immutable",
    }


def _reason(error: BaseError) -> str:
    """What a person may know. The error's own text has requests in it, and what identifies accounts."""
    text = str(error)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return "the object store refuses the credentials it is asked with (AWS_ACCESS_KEY_ID and the like)"
    if "169.254." in text:  # where machines in the cloud ask for theirs
        return "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if "NoSuchBucket" in text:
        return "there is no such bucket"
    status, code = _STATUS.search(text), _CODE.search(text)
    if status:
        return f"the object store answers with an error ({status[1]}{' ' + code[1] if code else ''})"
    return "the object store does not answer"
