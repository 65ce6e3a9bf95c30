"""The parts list: what is made of what, and what starts and stops in which order."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import Scope

from app import logs
from app.catalog.access import AccessRecords
from app.catalog.database import Database
from app.catalog.health import Health
from app.catalog.images import Images
from app.catalog.imports import Imports
from app.catalog.leases import Leases
from app.catalog.leftovers import Leftovers
from app.catalog.listing import Listing
from app.catalog.moving import CatalogCopy
from app.catalog.receipts import Receipts
from app.catalog.switching import Switches
from app.catalog.trash import Trash
from app.catalog.vectors import Vectors
from app.catalog.watched import Watched
from app.catalog.words import Words
from app.catalog.workers import Workers
from app.config import PROJECT, STARTER_MODEL, Settings
from app.errors import CatalogUnavailable, InvalidInput, StorageUnavailable
from app.library.access import Access
from app.library.choosing import Chooser
from app.library.compiling import Compiler
from app.library.copies import Copies
from app.library.doctor import Doctor
from app.library.engine_filling import EngineFilling
from app.library.following import Follower
from app.library.importing import Importer
from app.library.indexing import Indexer
from app.library.intake import Intake
from app.library.library import Library
from app.library.moving import Mover
from app.library.picture_links import PictureLinks
from app.library.pruning import Pruner
from app.library.search import Searcher
from app.library.serving import ServedModels
from app.library.status import StatusReader
from app.library.timing import Stopwatch, unmeasured
from app.library.watching import Watcher
from app.media.decoding import Decoder
from app.media.folder import Folder
from app.media.pictures import FORMATS
from app.media.store import Store
from app.vectors.background import Encoders
from app.vectors.encoder import Compiled, Encoder, improved, load_encoder, load_text_tower
from app.vectors.engines import open_engine, place_of
from app.vectors.known import resolve
from app.vectors.shared import SharedIndexes
from app.vectors.snapshots import IndexCache
from app.web.access import SignedInOnly, SignIn
from app.web.actions import Actions
from app.web.api import Api, health_router
from app.web.copies import CopyFiles
from app.web.error_pages import ErrorPages
from app.web.files import Files
from app.web.limits import Limits, Rates, WithinLimits
from app.web.model_pages import ModelPages
from app.web.pages import Pages
from app.web.prefix import WholePath
from app.web.rendering import Renderer
from app.web.security import KnownHosts, SameOriginOnly, SecurityHeaders
from app.web.uploads import UploadLimits
from app.worker import Worker, WorkerProcess, worker_name

if TYPE_CHECKING:
    from app.web.metrics import Metrics

log = logging.getLogger(__name__)

TEND_SECONDS = 15.0
"""How often snapshots and unused indexes are looked after."""
END_SECONDS = 5.0
"""What runs beside the requests has so long to end before the catalog is closed under it."""

FOLLOW_SECONDS = 1.0
"""How soon a server sees that another model serves, or is to serve."""

HEAD_START_SECONDS = 0.3
"""Pages come first: importing a model's libraries holds up everything else in the process for moments at a time."""

SENT_AS_THEY_ARE = tuple(format.media_type for format in FORMATS.values())
"""Pictures are large, most of them don't shrink, and parts of them are asked for by their real offsets."""

LoadEncoder = Callable[[], Encoder]
Indexes = IndexCache | SharedIndexes


@dataclass(frozen=True, slots=True)
class Core:
    """What server and worker are both made of."""

    database: Database
    images: Images
    trash: Trash
    vectors: Vectors
    workers: Workers
    store: Store
    decoder: Decoder
    switches: Switches
    encoders: Encoders

    @classmethod
    def of(cls, settings: Settings, load: LoadEncoder | None) -> Core:
        database = Database(settings.catalog_url)
        return cls(
            database=database,
            images=Images(database),
            trash=Trash(database),
            vectors=Vectors(database),
            workers=Workers(database),
            store=open_store(settings),
            decoder=Decoder(settings.decode_processes, settings.decode_seconds, settings.max_pixels),
            switches=Switches(database),
            encoders=_encoders(settings, load),
        )

    def close(self) -> None:
        self.decoder.close()
        self.database.close()


def open_store(settings: Settings) -> Store:
    """Where the pictures of the settings lie. Raises `StorageUnavailable` if what it takes is not installed."""
    if not settings.in_bucket:
        return Folder(settings.images)
    try:
        from app.media.bucket import Bucket  # obstore is installed by who needs it
    except ModuleNotFoundError as error:
        told = f"{settings.storage} takes the package {error.name}: pip install -r requirements-s3.txt"
        raise StorageUnavailable(told) from error
    scratch = settings.index / "incoming"
    return Bucket(settings.storage, scratch, settings.storage_endpoint, settings.storage_urls == "signed")


def _encoders(settings: Settings, load: LoadEncoder | None) -> Encoders:
    if load is not None:
        return Encoders(lambda _source: load())
    compiled = _compiled(settings)
    return Encoders(
        lambda source: load_encoder(source, STARTER_MODEL, compiled),
        lambda name: resolve(name, STARTER_MODEL),
        lambda encoder: improved(encoder, compiled),
    )


def _compiled(settings: Settings) -> Compiled:
    return Compiled(settings.index / "compiled", settings.precision)


def create_app(settings: Settings, load: LoadEncoder | None = None) -> FastAPI:
    """The web application. ``load`` makes the encoder; by default it is the model of the settings."""
    core = Core.of(settings, load)
    process = _child(settings, "worker", "--supervised") if settings.worker else None
    metrics = _metrics() if settings.metrics else None
    wake = process.wake if process else lambda: None
    library = _library(settings, core, wake, metrics.watch if metrics else unmeasured)
    beside = [process] if process else []
    if settings.watched_folders:
        beside.append(_child(settings, "watch", "--supervised"))
    app = FastAPI(
        title="Glimpse",
        summary="Find your own pictures by describing them.",
        version="1",
        docs_url=None,  # its page would come from a CDN; the schema is at /openapi.json
        redoc_url=None,
        redirect_slashes=False,  # to what is sent, a redirect is no answer: curl would end without a word
        root_path=settings.prefix,
        lifespan=lambda _app: _running(settings, core, library, beside),
    )
    limits = UploadLimits(settings.max_file_mb * 1_000_000, settings.max_files)
    request_limits = _request_limits(settings)
    rates = Rates(request_limits)
    renderer = Renderer(PROJECT / "templates", PROJECT / "static")
    error_pages = ErrorPages(renderer)
    app.include_router(Pages(library, renderer, settings.page_size, limits, str(settings.data)).router())
    app.include_router(ModelPages(library, renderer).router())
    app.include_router(Files(library).router())
    app.include_router(CopyFiles(library.copies).router())
    app.include_router(Actions(library, limits).router())
    app.include_router(Api(library, limits).router())
    app.include_router(SignIn(library.access, renderer, rates).router())
    app.include_router(health_router(library))
    app.mount("/static", ImmutableFiles(directory=PROJECT / "static"), name="static")
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5, exclude_content_types=SENT_AS_THEY_ARE)
    app.add_middleware(WithinLimits, limits=request_limits, rates=rates, refuse=error_pages.refusal)
    app.add_middleware(SignedInOnly, access=library.access, errors=error_pages)
    app.add_middleware(SameOriginOnly, refuse=error_pages.refusal)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts, refuse=error_pages.refusal)
    app.add_middleware(SecurityHeaders, pictures=core.store.origin)
    if metrics:
        app.include_router(metrics.router(library, settings.data))
        app.add_middleware(metrics.middleware)
    app.add_middleware(WholePath)
    error_pages.install(app)
    return app


def _request_limits(settings: Settings) -> Limits:
    return Limits(
        requests=settings.request_rate,
        searches=settings.search_rate,
        pictures=settings.picture_rate,
        sign_ins=settings.sign_in_rate,
        storage=settings.rate_storage,
        uploads=settings.max_uploads,
        upload_bytes=settings.max_upload_mb * 1_000_000,
        idle_seconds=settings.idle_seconds,
    )


@contextmanager
def create_worker(settings: Settings, load: LoadEncoder | None = None) -> Iterator[Worker]:
    """A worker over the same folders: to be run, and stopped from another thread."""
    core = Core.of(settings, load)
    indexes = _indexes(settings, core.database)
    try:
        core.database.migrate()
        name = worker_name()
        indexer = Indexer(name, core.images, core.vectors, core.store, core.decoder)
        compiler = None if load else Compiler(STARTER_MODEL, _compiled(settings))
        follower = None
        if isinstance(indexes, SharedIndexes):
            follower = Follower(name, core.vectors, core.images, Leases(core.database), indexes)
        models = (core.switches, core.encoders, settings.model)
        yield Worker(name, indexer, core.images, core.vectors, core.workers, *models, compiler, follower)
    finally:
        indexes.close()
        core.close()


def _indexes(settings: Settings, database: Database) -> Indexes:
    if url := settings.vectors_url:
        return SharedIndexes(partial(open_engine, url), database.identity, place_of(url))
    return IndexCache(settings.index, settings.index_ttl, database.identity)


def _library(settings: Settings, core: Core, wake: Callable[[], None], stopwatch: Stopwatch = unmeasured) -> Library:
    indexes = _indexes(settings, core.database)
    tower = partial(load_text_tower, settings.text_model) if settings.text_model else None
    models = ServedModels(settings.model, core.encoders, core.vectors, core.switches, indexes, tower)
    return Library(
        images=core.images,
        trash=core.trash,
        store=core.store,
        receipts=Receipts(core.database),
        intake=Intake(core.images, core.trash, core.store, settings.max_pixels, wake, stopwatch),
        searcher=_searcher(settings, core, models, indexes, stopwatch),
        copies=Copies(core.images, core.store, core.decoder),
        models=models,
        chooser=_chooser(settings, core, wake),
        status=StatusReader(core.images, core.workers, core.switches, models, core.store),
        access=Access(AccessRecords(core.database)),
        watched=Watched(core.database),
        listing=Listing(core.database),
        vectors=core.vectors,
        identity=core.database.identity,
    )


def _chooser(settings: Settings, core: Core, wake: Callable[[], None]) -> Chooser:
    compiled = _compiled(settings).folder
    return Chooser(core.switches, core.vectors, core.encoders, STARTER_MODEL, compiled, wake)


def _searcher(settings: Settings, core: Core, models: ServedModels, indexes: Indexes, stopwatch: Stopwatch) -> Searcher:
    records = AccessRecords(core.database)
    return Searcher(
        core.images,
        core.vectors,
        Words(core.database),
        indexes,
        models,
        core.decoder,
        PictureLinks(lambda: records.read().secret),
        settings.index_ttl,
        stopwatch,
    )


@contextmanager
def open_library(settings: Settings, with_model: bool = False) -> Iterator[Library]:
    """The library for the command line; ``with_model``: searches can be answered when this is handed out."""
    core = Core.of(settings, None)
    try:
        core.database.migrate()
        library = _library(settings, core, lambda: None)
        if with_model:
            library.searcher.serve()
        yield library
    finally:
        core.close()


def check_catalog(settings: Settings) -> None:
    """Raises `CatalogUnavailable` or `InvalidInput` where it can't be used; at the newest version afterwards."""
    with closing(Database(settings.catalog_url)) as database:  # left open, it would look as if a server ran on it
        database.migrate()


def check_pictures(settings: Settings) -> None:
    """Raises `StorageUnavailable` where the catalog knows pictures and no file of any is there.

    The disk is not mounted, then: pictures put into the empty folder would vanish behind it, and those that are missing
    would be given up one by one.
    """
    if settings.in_bucket:
        return
    with closing(Database(settings.catalog_url)) as database:
        database.migrate()
        pictures = Images(database).counts().total
    store = open_store(settings)
    if pictures and next(store.found_originals(), None) is None:
        raise StorageUnavailable(
            f"The library has {pictures:,} picture{'' if pictures == 1 else 's'}, and not one file of them lies in "
            f"{store.place}. Is its disk mounted? If they are lost, bring them back with `python run.py import FOLDER`"
            ", or move the folder index away and bring a backup back with `python run.py restore FOLDER`."
        )


@contextmanager
def open_access(settings: Settings) -> Iterator[Access]:
    """Password and keys of the library alone, for the command line."""
    database = Database(settings.catalog_url)
    try:
        database.migrate()
        yield Access(AccessRecords(database))
    finally:
        database.close()


@contextmanager
def create_importer(settings: Settings) -> Iterator[Importer]:
    """Somebody who takes in files from this machine's disks."""
    core = Core.of(settings, None)
    try:
        core.database.migrate()
        # The worker looks by itself.
        intake = Intake(core.images, core.trash, core.store, settings.max_pixels, lambda: None)
        yield Importer(intake, Imports(core.database), core.store, settings.max_file_mb * 1_000_000)
    finally:
        core.close()


@contextmanager
def create_watcher(settings: Settings, folders: Sequence[Path], exclude: Sequence[str]) -> Iterator[Watcher]:
    """Somebody who takes in what comes into folders of this machine."""
    with create_importer(settings) as importer:
        database = Database(settings.catalog_url)
        try:
            imports, watched = Imports(database), Watched(database)
            yield Watcher(importer, imports, watched, folders, exclude, settings.watch_seconds, settings.images)
        finally:
            database.close()


@contextmanager
def create_doctor(settings: Settings) -> Iterator[Doctor]:
    """Somebody who looks at the library from outside."""
    core = Core.of(settings, None)
    indexes = _indexes(settings, core.database)
    try:
        core.database.migrate()
        intake = Intake(core.images, core.trash, core.store, settings.max_pixels, lambda: None)
        yield Doctor(Health(core.database), core.images, core.trash, core.vectors, core.store, intake, indexes)
    finally:
        indexes.close()
        core.close()


@contextmanager
def open_catalogs(settings: Settings, to: str) -> Iterator[CatalogCopy]:
    """The library's catalog, and the one it is copied to."""
    source, target = Database(settings.catalog_url), Database(to)
    try:
        source.migrate()
        target.migrate()
        yield CatalogCopy(source, target)
    finally:
        source.close()
        target.close()


@contextmanager
def create_pruner(settings: Settings) -> Iterator[Pruner]:
    """Somebody who clears away."""
    core = Core.of(settings, None)
    try:
        core.database.migrate()
        intake = Intake(core.images, core.trash, core.store, settings.max_pixels, lambda: None)
        yield Pruner(Leftovers(core.database), core.images, core.store, intake, settings.index)
    finally:
        core.close()


@contextmanager
def open_filling(settings: Settings) -> Iterator[EngineFilling]:
    """Somebody who fills the vector engine of the settings."""
    core = Core.of(settings, None)
    indexes = _indexes(settings, core.database)
    try:
        core.database.migrate()
        if not isinstance(indexes, SharedIndexes):
            raise InvalidInput("This names no vector engine: there is nothing to fill.")
        follower = Follower(worker_name(), core.vectors, core.images, Leases(core.database), indexes)
        yield EngineFilling(core.vectors, follower, indexes)
    finally:
        indexes.close()
        core.close()


@contextmanager
def open_files(settings: Settings) -> Iterator[tuple[Database, Store]]:
    """Catalog and picture folder alone, for a backup."""
    core = Core.of(settings, None)
    try:
        core.database.migrate()
        yield core.database, core.store
    finally:
        core.close()


def _metrics() -> Metrics:
    from app.web.metrics import Metrics  # 0.1 s of the start, for what most never ask for

    return Metrics()


@contextmanager
def create_mover(settings: Settings, to: Settings) -> Iterator[Mover]:
    """Somebody who copies the pictures to where other settings want them."""
    with open_files(settings) as (database, store):
        images, trash = Images(database), Trash(database)
        yield Mover(database.identity(), Health(database), images, trash, store, open_store(to))


def _child(settings: Settings, *arguments: str) -> WorkerProcess:
    command = [sys.executable, str(PROJECT / "run.py"), *arguments]
    return WorkerProcess(command, os.environ | settings.environment())


@asynccontextmanager
async def _running(
    settings: Settings, core: Core, library: Library, beside: Sequence[WorkerProcess]
) -> AsyncIterator[None]:
    """Starts what runs beside the requests, and stops it in reverse order. Nothing here waits for a model."""
    stopping = threading.Event()

    def start_up() -> None:
        if stopping.wait(HEAD_START_SECONDS):
            return
        for process in beside:
            process.start()
        _persist(library.models.settle, stopping)
        following = _in_thread(lambda: _follow(library, stopping))
        _persist(library.intake.recover, stopping)
        if settings.demo:
            _persist(lambda: _fill_with_demo(library, stopping), stopping)
        following.join()

    with ExitStack() as stack:
        stack.callback(core.close)
        core.database.migrate()
        stack.callback(library.searcher.close)
        for work in (start_up, lambda: _tend(library, settings.trash_days, stopping)):
            stack.callback(_in_thread(work).join, END_SECONDS)
        for process in beside:
            stack.callback(process.stop)
        stack.callback(stopping.set)
        yield


def _in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _persist(work: Callable[[], object], stopping: threading.Event) -> None:
    """Do what each start has to do; later, if disk, catalog or storage are out of reach."""
    while not stopping.is_set():
        try:
            work()
            return
        except (StorageUnavailable, CatalogUnavailable, OSError) as error:
            log.warning("work of the start is put off reason=%s", error)
            stopping.wait(TEND_SECONDS)
        except Exception:
            log.exception("work of the start failed")
            return  # what comes after it is needed all the same


def _fill_with_demo(library: Library, stopping: threading.Event) -> None:
    from app.library.demo import draw_demo_pictures  # most starts have no use for it

    if library.images.counts().total or library.trash.count():  # nobody's deleted picture comes back by itself
        return
    for picture in draw_demo_pictures():
        if stopping.is_set():
            return
        try:
            library.intake.add_bytes(picture.data, picture.filename)
        except StorageUnavailable as error:
            log.warning("demo picture left out filename=%s reason=%s", picture.filename, error)


def _follow(library: Library, stopping: threading.Event) -> None:
    """The model that serves is loaded, and whichever is to serve after it."""
    while True:
        try:
            library.models.follow()
        except CatalogUnavailable:
            log.debug("catalog is away, asked again in a moment")  # said where it is used
        except Exception:
            log.exception("following the model that serves failed")
        if stopping.wait(FOLLOW_SECONDS):
            return


def _tend(library: Library, trash_days: float, stopping: threading.Event) -> None:
    while not stopping.wait(TEND_SECONDS):
        try:
            library.models.improve()
            library.searcher.tend()
            library.intake.empty_trash(trash_days)
            library.intake.finish_removals()
            if library.store.trouble:
                library.store.reach()
        except StorageUnavailable:
            continue  # said when it began
        except Exception:
            log.exception("looking after indexes, trash and storage failed")


def app_from_environment() -> FastAPI:
    """What uvicorn calls, also in the processes it starts for `--reload`."""
    settings = Settings()
    logs.configure(settings.log_level)
    return create_app(settings)


class ImmutableFiles(StaticFiles):
    """Static files, kept by browsers for ever where the URL carries a digest of the content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        immutable = b"v=" in scope["query_string"] and response.status_code == 200
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if immutable else "no-cache"
        return response
