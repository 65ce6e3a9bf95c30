"""The command line. Thin: what the commands do stands elsewhere."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from app.config import Settings
from app.entry import read_settings as _settings
from app.entry import settings_of_a_library, tell_error
from app.entry import told as _told
from app.errors import GlimpseError, StorageUnavailable
from app.model_commands import WORDS_WITH_MINUS, models, reindex
from app.models import ExportFormat, Scope

if TYPE_CHECKING:
    from app.library.access import Access
    from app.library.backup import Copied
    from app.library.importing import Imported

MOST_CONNECTIONS = 500
"""Beyond that, requests are answered 503: a process may have 1,024 open files on many systems."""

cli = typer.Typer(no_args_is_help=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


@cli.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on [3000].")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder that holds `images/` and `index/`.")] = None,
    open: Annotated[bool, typer.Option("--open", help="Serve other machines without a password.")] = False,
    model: Annotated[str | None, typer.Option(help="Model by name or folder [auto].")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Fill an empty gallery with drawn pictures.")] = False,
    reload: Annotated[bool, typer.Option("--reload", help="Start again when the code changes.")] = False,
) -> None:
    """**Glimpse**: a gallery in which you find your own pictures by describing them.

    Without a command it serves: `python run.py`, then open http://127.0.0.1:3000.

    Every option is a setting as well (`GLIMPSE_PORT=8080`); README.md lists them all.
    """
    chosen = {"host": host, "port": port, "data": data, "open": open or None, "model": model}
    chosen |= {"demo": demo or None}
    # Through the environment, so that the processes this one starts have the same settings.
    os.environ.update({f"GLIMPSE_{name.upper()}": str(value) for name, value in chosen.items() if value is not None})
    if context.invoked_subcommand is None:
        _serve(reload)


def _serve(reload: bool) -> None:
    import uvicorn

    from app.web.connections import HEAD_BYTES, PatientConnection

    settings = _settings()
    _refuse_a_folder_that_can_not_be_used(settings)
    _refuse_to_be_open_by_mistake(settings)
    if settings.in_bucket:
        _refuse_without_storage(settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when it has ended in good order
    uvicorn.run(
        "app.main:app_from_environment",
        factory=True,
        host=settings.host,
        port=settings.port,
        reload=reload,
        reload_dirs=["app", "templates"] if reload else None,
        log_config=None,
        server_header=False,
        http=PatientConnection,
        h11_max_incomplete_event_size=HEAD_BYTES,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=5,
    )


def _refuse_a_folder_that_can_not_be_used(settings: Settings) -> None:
    """And a catalog: what is wrong with either is told here, in a sentence, instead of to the first visitor."""
    from app.main import check_catalog, check_pictures

    for folder in (settings.index,) if settings.in_bucket else (settings.index, settings.images):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()
        except OSError as error:
            typer.echo(
                f"The library can't be kept in {folder}: {error.strerror}.\n"
                "Choose another folder with --data (GLIMPSE_DATA), or let this user write there.",
                err=True,
            )
            raise typer.Exit(2) from error
    with _told():
        check_catalog(settings)
        check_pictures(settings)


def _refuse_to_be_open_by_mistake(settings: Settings) -> None:
    """Other machines are served only with a password, or where a person said that they need none."""
    if settings.open or (settings.is_local and not settings.known_hosts):
        return
    with _access(settings) as access:
        if access.is_locked:
            return
    way = f"Being reached as {settings.hosts}" if settings.is_local else f"Listening on {settings.host}"
    typer.echo(
        f"{way} lets other machines in, and no password is set.\n"
        "Set one with `python run.py password`, or start with --open (GLIMPSE_OPEN=true) if everybody who can reach\n"
        "this machine may see, add and remove pictures.",
        err=True,
    )
    raise typer.Exit(2)


def _refuse_without_storage(settings: Settings) -> None:
    from app.main import open_store

    with _told():
        open_store(settings)


cli.add_typer(models, name="models")
cli.command()(reindex)


@cli.command()
def password(
    remove: Annotated[bool, typer.Option("--remove", help="Ask for no password any more.")] = False,
) -> None:
    """Set the password that the gallery asks for. It holds at once, also for a server that runs; all sessions end.

    Example: `python run.py password`, or from a script: `python run.py password < file`.
    """
    if remove:
        with _access(settings_of_a_library()) as access:
            access.remove_password()
        typer.echo("No password is asked for any more.")
        return
    if sys.stdin.isatty():
        chosen = typer.prompt("New password", hide_input=True, confirmation_prompt="The same again")
    else:
        chosen = sys.stdin.readline().rstrip("\r\n")
    settings = _settings()
    with _access(settings) as access:
        access.set_password(chosen)
    which = "of GLIMPSE_CATALOG" if settings.catalog else f"in {settings.data}"
    typer.echo(f"The gallery {which} asks for this password from now on.")


keys = typer.Typer(help="Keys by which programs use the API where a password is set.", no_args_is_help=True)
cli.add_typer(keys, name="keys")


@keys.command("list")
def list_keys() -> None:
    """Names and scopes of all keys.

    Example: `python run.py keys list`
    """
    with _access(settings_of_a_library()) as access:
        for key in access.keys:
            typer.echo(f"{key.name}\t{key.scope}\t{key.created_at:%Y-%m-%d}")


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="What uses it.")],
    scope: Annotated[
        Scope, typer.Option(help="`read` looks and searches, `write` adds and deletes as well.")
    ] = Scope.READ,
) -> None:
    """Make a key and print it, this once: send it as `Authorization: Bearer KEY`.

    Example: `python run.py keys add backup --scope read`
    """
    with _access(_settings()) as access:
        typer.echo(access.add_key(name, scope))


@keys.command("revoke")
def revoke_key(name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """Make a key worthless, at once.

    Example: `python run.py keys revoke backup`
    """
    with _access(settings_of_a_library()) as access:
        access.revoke_key(name)
    typer.echo(f"The key {name} opens nothing any more.")


@cli.command(context_settings=WORDS_WITH_MINUS)
def search(
    query: Annotated[str, typer.Argument(help="As in the search box: words, -words, conditions.")] = "",
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many results.")] = 20,
    image: Annotated[
        Path | None, typer.Option(help="Find what looks like this picture.", exists=True, dir_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the pictures found.")] = False,
    save: Annotated[Path | None, typer.Option(help="Copy the pictures found into this folder, numbered.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Draw them on a contact sheet, such as `found.png`.")] = None,
) -> None:
    """Find pictures by describing them: score, band, name and path of each. A running server answers, if there is one.

    Example: `python run.py search "dog on a beach -people taken:2023" --sheet dogs.png`
    """
    from app.finding import draw_hits, find, save_hits
    from app.terminal import show_table

    if bool(query.strip()) == (image is not None):
        raise typer.BadParameter("say what to look for, or name a picture with --image")
    settings = settings_of_a_library()
    if open_ and settings.in_bucket:
        raise typer.BadParameter(f"these pictures lie in {settings.storage}: use --save FOLDER instead of --open")
    if save and not settings.in_bucket and save.resolve().is_relative_to(settings.images.resolve()):
        raise typer.BadParameter(f"{save} lies among the pictures of the library itself: choose a folder elsewhere")
    with _told():
        hits = find(settings, query, image.read_bytes() if image else None, top)
        if save:
            save_hits(hits, save)
        if sheet:
            draw_hits(hits, sheet)
    if as_json:
        typer.echo(json.dumps([hit.as_json() for hit in hits], indent=2, ensure_ascii=False))
    else:
        show_table(("score", "match", "name", "path"), [hit.cells() for hit in hits])
    if open_:
        for hit in hits:
            typer.launch(hit.place)
    if not hits:
        typer.echo("Nothing here looks like that.", err=True)


@cli.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """What the library is doing: pictures, model, worker, server, watched folders.

    Example: `python run.py status`
    """
    from app.finding import read_status
    from app.terminal import show_facts

    with _told():
        told = read_status(settings_of_a_library())
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        show_facts(told)


@cli.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Folders (to the bottom), files, ZIP archives.")],
    move: Annotated[bool, typer.Option("--move", help="Take each file away once it is here for sure.")] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Hard links instead of copies; a copy where links can't be.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be imported.")] = False,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave out, such as `*.png` or `*/private/*`.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where to write what became of each file [index/last-import.tsv].")
    ] = None,
) -> None:
    """Take in folders, files and archives, beside a running server or without one. Goes on where it was interrupted.

    Files are copied. They are indexed by the server's worker, now or when it next starts.

    Example: `python run.py import ~/Pictures --exclude '*/thumbnails/*'`
    """
    from app.library.importing import Fate, Imported, Mode, find_sources
    from app.main import create_importer
    from app.terminal import in_words, tell_import, until_interrupted, with_progress

    if move and link:
        raise typer.BadParameter("--move and --link exclude each other")
    settings = _settings()
    with _told():
        found = list(find_sources(paths, exclude or [], settings.images))
    results = [item for item in found if isinstance(item, Imported)]
    sources = [item for item in found if not isinstance(item, Imported)]
    mode, failure = Mode.MOVE if move else Mode.LINK if link else Mode.COPY, ""
    with (
        _told(),
        create_importer(settings) as importer,
        until_interrupted() as interrupted,
        closing(importer.run(sources, mode, dry_run)) as running,  # however it ends, what was learned is kept
    ):
        try:
            for result in with_progress(running, len(sources)):
                results.append(result)
                if interrupted.is_set():
                    break
        except StorageUnavailable as error:  # what became of the others is told all the same
            failure = str(error)
    tell_import(results, dry_run)
    if not dry_run:
        _write_report(report or settings.index / "last-import.tsv", results)
    fates = Counter(result.fate for result in results)
    typer.echo(in_words(fates) + (" (dry run: nothing was done)" if dry_run else "") + ".", err=True)
    if interrupted.is_set():
        typer.echo("Interrupted. The same command goes on from here.", err=True)
    if failure:
        typer.echo(failure, err=True)
    if failure or interrupted.is_set() or fates[Fate.PROBLEM]:
        raise typer.Exit(1)


@cli.command()
def watch(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Folders; else those of GLIMPSE_WATCH.", file_okay=False)
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave out, such as `*.png` or `*/private/*`.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, take in what is whole, and end.")] = False,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Take in what comes into folders, until it is stopped. The server does so by itself with GLIMPSE_WATCH.

    Files are copied once nobody writes to them any more. What vanishes is told, and its picture stays.

    Example: `python run.py watch ~/Pictures --exclude '*/thumbnails/*'`
    """
    from app import logs
    from app.main import create_watcher

    settings = _settings()
    folders = paths or settings.watched_folders
    if not folders:
        raise typer.BadParameter("name a folder, or set GLIMPSE_WATCH")
    logs.configure(settings.log_level)
    if hasattr(os, "nice"):
        os.nice(10)
    with _told(), create_watcher(settings, folders, exclude or settings.watch_excluded) as watching:
        if supervised:
            threading.Thread(target=_follow_server, args=(lambda: None, watching.stop), daemon=True).start()
        else:
            signal.signal(signal.SIGINT, lambda *_: watching.stop())
        signal.signal(signal.SIGTERM, lambda *_: watching.stop())
        if not once:
            watching.run()
        elif not watching.run_once():
            raise typer.Exit(1)


def _write_report(path: Path, results: Iterable[Imported]) -> None:
    with _told(), path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n")
        rows.writerows((result.fate.value, result.image_id or "", result.name, result.reason) for result in results)


@cli.command()
def export(
    to: Annotated[Path | None, typer.Option(help="File to write to, instead of standard output.")] = None,
    format: Annotated[
        ExportFormat, typer.Option(help="`csv`, or `jsonl` for a JSON object per line.")
    ] = ExportFormat.CSV,
    vectors: Annotated[
        Path | None, typer.Option(help="Write the vectors into this folder; the catalog only where --to says so.")
    ] = None,
) -> None:
    """Write down every picture with all that is known of it, or its vector.

    Vectors: `vectors.npy` (float32, a row per picture), `ids.npy` (whose they are), `space.json` (of which model).

    Example: `python run.py export --format jsonl --to catalog.jsonl`
    """
    from app.library.exporting import whole_file, write_catalog, write_vectors
    from app.main import open_library

    with _told(), open_library(settings_of_a_library()) as library:
        if vectors:
            serving = library.vectors.serving()
            if serving is None:
                raise GlimpseError("No picture has a vector yet: start the server once, so that a model indexes them.")
            count = write_vectors(serving.space, library.vectors.log(serving.id).entries(0), vectors)
            typer.echo(f"{count:,} vectors of {serving.space.model} in {vectors}.", err=True)
        if to:
            with whole_file(to) as file:
                text = TextIOWrapper(file, "utf-8", newline="", write_through=True)
                write_catalog(library.listing.pictures(), format, text)
                text.detach()
        elif not vectors:
            write_catalog(library.listing.pictures(), format, sys.stdout)


@cli.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is, and how much it takes.")] = False,
    old_models: Annotated[
        bool, typer.Option("--old-models", help="Also vectors of models that don't serve: no going back to those.")
    ] = False,
) -> None:
    """Clear away what is derived and of no use any more: previews and snapshots of nothing, compiled models.

    Never an original. Works beside a running server.

    Example: `python run.py prune --dry-run`
    """
    from app.main import create_pruner
    from app.web.rendering import file_size

    freed = 0
    with _told(), create_pruner(settings_of_a_library()) as pruner:
        for useless in pruner.find(old_models):
            typer.echo(f"{file_size(useless.bytes)}\t{useless.what}")
            freed += useless.bytes
            if not dry_run:
                useless.remove()
        if old_models and not dry_run:
            pruner.compact()
    typer.echo(f"{file_size(freed)} {'can be freed' if dry_run else 'freed'}.", err=True)


@cli.command()
def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Read every original and compare its MD5.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Put right what can be.")] = False,
) -> None:
    """Check pictures, previews, vectors and catalog against each other. Works beside a running server.

    Ends with 0 if all is well (or was put right), with 1 otherwise.

    Example: `python run.py doctor --fix`
    """
    from app.main import create_doctor
    from app.terminal import printable

    left, settings = 0, settings_of_a_library()
    with _told(), create_doctor(settings) as examining:
        for finding in examining.examine(deep):
            if fix and finding.repair is not None:
                finding.repair()
            else:
                left += 1
            done = " Put right." if fix and finding.repair is not None else ""
            hint = " Put right with --fix." if not fix and finding.repair is not None else ""
            typer.echo(printable(f"{finding.what}{done or hint} {finding.help}".rstrip()))
    if left:
        typer.echo(f"{left} thing{'s' if left > 1 else ''} to see to.", err=True)
        raise typer.Exit(1)
    typer.echo("All is well.", err=True)


@cli.command()
def backup(
    to: Annotated[Path, typer.Argument(help="Folder of the backup; a second time only what is new is copied.")],
) -> None:
    """Copy the library as it is at this moment, while it is used. The copy is a data folder like the original.

    Example: `python run.py backup /mnt/disk/glimpse`, then `python run.py --data /mnt/disk/glimpse` looks into it.
    """
    from app.library.backup import back_up
    from app.main import open_files

    settings = settings_of_a_library()
    if to.resolve() == settings.data.resolve():
        raise typer.BadParameter("this is the library itself")
    with _told(), open_files(settings) as (database, store):
        _tell(back_up(database, store, to, _progress()), "in the backup")


@cli.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="Folder that `backup` has made.", exists=True, file_okay=False)],
) -> None:
    """Bring a backup back into an empty data folder, while no server runs on it.

    Example: `python run.py --data /srv/glimpse restore /mnt/disk/glimpse`
    """
    from app.library.backup import restore_library
    from app.main import open_store

    settings = _settings()
    if settings.catalog:
        raise typer.BadParameter(
            "GLIMPSE_CATALOG is set. Bring the backup back without it, then move its catalog: GLIMPSE_CATALOG= "
            "python run.py restore FOLDER, then GLIMPSE_CATALOG= python run.py migrate --catalog URL (an empty one)"
        )
    with _told():
        _tell(restore_library(backup, settings.data, open_store(settings), _progress()), "back")


@cli.command()
def migrate(
    catalog: Annotated[
        str, typer.Option(help="Where the catalog goes: `postgresql://…`, or `sqlite:///…` to bring it back.")
    ] = "",
    storage: Annotated[
        str, typer.Option(help="Where the pictures go: `s3://bucket/prefix`, or a folder to bring them back.")
    ] = "",
    storage_endpoint: Annotated[
        str | None, typer.Option(help="Address of that object store [GLIMPSE_STORAGE_ENDPOINT].")
    ] = None,
    vectors: Annotated[
        str, typer.Option(help="Where vectors are searched: `milvus://…`, `qdrant://…`, `pgvector`, or `faiss` again.")
    ] = "",
) -> None:
    """Copy the library to other engines, while it is used; then compare, and tell what to set.

    Run again, it goes on where it was and copies what is new. Nothing is taken away from where it was.

    Example: `python run.py migrate --catalog postgresql://glimpse@localhost/glimpse`
    """
    settings = _settings()
    if catalog == settings.catalog_url or not (catalog or storage or vectors):
        raise typer.BadParameter("name another place: --catalog, --storage for the pictures, --vectors")
    if storage:
        endpoint = settings.storage_endpoint if storage_endpoint is None else storage_endpoint
        _migrate_storage(settings, _settings(storage=storage, storage_endpoint=endpoint))
    if vectors:
        _fill_engine(_settings(vectors=vectors))
    if catalog:
        with _told():
            _migrate_catalog(settings, catalog)


def _migrate_catalog(settings: Settings, to: str) -> None:
    from app.main import open_catalogs
    from app.terminal import show_table

    with open_catalogs(settings, to) as copy:
        checks = copy.run(_progress_by_table())
    rows = [(c.table, f"{c.rows[0]:,}", f"{c.rows[1]:,}", "yes" if c.equal else "no") for c in checks]
    show_table(("table", "rows", "in the copy", "checksums equal"), rows)
    if not all(check.equal for check in checks):
        typer.echo("The library is being changed, so the two differ. Stop its servers and workers, and run this again.")
        raise typer.Exit(1)
    typer.echo("The copy is complete. If a server or a worker still runs: stop them all, and run this once more.")
    if to == settings.model_copy(update={"catalog": ""}).catalog_url:
        typer.echo("Then start them without GLIMPSE_CATALOG.")
    else:
        typer.echo("Then start them all with GLIMPSE_CATALOG set to this URL. The old catalog is left as it is.")


def _fill_engine(settings: Settings) -> None:
    from app.main import open_filling
    from app.terminal import show_table, until_interrupted

    if settings.vectors_url is None:
        typer.echo("Nothing is to be copied: stop all servers and workers, and start them without GLIMPSE_VECTORS.")
        typer.echo("Each then reads the log of vectors into its memory, once. The engine is left as it is.")
        return
    with _told(), open_filling(settings) as filling, until_interrupted() as interrupted:
        compared = filling.run(_how_far(), interrupted.is_set)
    if interrupted.is_set():
        typer.echo("Interrupted. The same command goes on from here.", err=True)
        raise typer.Exit(1)
    rows = [(c.model, f"{c.pictures:,}", f"{c.in_engine:,}", f"{c.recall:.1%}") for c in compared]
    show_table(("model", "pictures", "in the engine", "of the ten nearest"), rows)
    if not all(space.complete for space in compared):
        typer.echo("The library is being changed, so the two differ. Run this again to compare again.")
        raise typer.Exit(1)
    typer.echo("The engine is filled. Start all servers and workers with")
    typer.echo(f"GLIMPSE_VECTORS={settings.vectors}")
    typer.echo("What is added until then follows by itself.")


def _how_far() -> Callable[[str], object]:
    if not sys.stderr.isatty():
        return lambda _message: None
    return lambda message: typer.echo(f"\r{message}\033[K", nl=False, err=True)


def _progress_by_table() -> Callable[[str, int], object]:
    if not sys.stderr.isatty():
        return lambda _table, _rows: None
    return lambda table, rows: typer.echo(f"\r{table} {rows:,}\033[K", nl=False, err=True)


def _migrate_storage(settings: Settings, to: Settings) -> None:
    from app.main import create_mover

    if (to.storage, to.storage_endpoint, to.images) == (settings.storage, settings.storage_endpoint, settings.images):
        raise typer.BadParameter("the pictures are there already")
    with _told(), create_mover(settings, to) as mover:
        moved = mover.run(_progress_by_step())
    place = to.storage if to.in_bucket else to.images
    typer.echo(
        f"{moved.pictures:,} pictures in {place}, each with its MD5: {moved.new:,} new, {moved.removed:,} taken away."
    )
    for problem in moved.problems:
        typer.echo(problem, err=True)
    if moved.problems:
        typer.echo("`python run.py doctor` says what to do about these.", err=True)
        raise typer.Exit(1)
    typer.echo("If a server or a worker still runs: stop them all, and run this once more. Then start them with")
    typer.echo(f"GLIMPSE_STORAGE={place}" if to.in_bucket or to.images != to.data / "images" else "no GLIMPSE_STORAGE")
    if to.in_bucket and to.storage_endpoint:
        typer.echo(f"GLIMPSE_STORAGE_ENDPOINT={to.storage_endpoint}")
    typer.echo("What lies in the old place is left there.")


def _progress_by_step() -> Callable[[str, int], object]:
    if not sys.stderr.isatty():
        return lambda _step, _done: None
    return lambda step, done: typer.echo(f"\r{step} {done:,}\033[K", nl=False, err=True) if done % 50 == 0 else None


def _progress() -> Callable[[int], object]:
    """Counts on a terminal, and nowhere else."""
    if not sys.stderr.isatty():
        return lambda _done: None
    return lambda done: typer.echo(f"\r{done:,}", nl=False, err=True) if done % 50 == 0 else None


def _tell(copied: Copied, where: str) -> None:
    typer.echo(f"{copied.pictures:,} picture{'' if copied.pictures == 1 else 's'} {where}, {copied.new:,} new.")
    for name in copied.missing:
        typer.echo(f"The original of {name} is missing.", err=True)
    for name in copied.damaged:
        typer.echo(
            f"The original of {name} is damaged. Of an older copy that is whole, nothing was replaced.", err=True
        )
    if copied.missing or copied.damaged:
        raise typer.Exit(1)


@contextmanager
def _access(settings: Settings) -> Iterator[Access]:
    from app.main import open_access

    with _told(), open_access(settings) as access:
        yield access


@cli.command()
def worker(
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Prepare and index pictures, beside the server's own worker or instead of it.

    Example: `GLIMPSE_WORKER=false python run.py` in one terminal, `python run.py worker` in another.
    """
    from app import logs
    from app.main import check_pictures, create_worker

    settings = _settings()
    logs.configure(settings.log_level)
    with _told():
        check_pictures(settings)
    if hasattr(os, "nice"):
        os.nice(10)  # pages come first
    with _told(), create_worker(settings) as working:
        if supervised:
            threading.Thread(target=_follow_server, args=(working.wake, working.stop), daemon=True).start()
        else:
            signal.signal(signal.SIGINT, lambda *_: working.stop())
        signal.signal(signal.SIGTERM, lambda *_: working.stop())
        working.run()


def _follow_server(wake: Callable[[], None], stop: Callable[[], None]) -> None:
    """Each byte on standard input wakes; its end means that the server is gone, however it went."""
    while os.read(sys.stdin.fileno(), 4096):
        wake()
    stop()


def run() -> NoReturn:
    """Run the command line, and leave without waiting for a model that is still being loaded.

    Its thread is inside native code; an ordinary end of the interpreter would pull the floor from under it, and the
    process would abort after everything had ended well.
    """
    if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")  # what programs read; some systems redirect in another code
    code: object = 0
    try:
        cli(prog_name=os.environ.get("GLIMPSE_PROGRAM"))  # shells complete a name, and `python` is not ours
    except SystemExit as end:
        code = end.code
    except (OSError, GlimpseError) as error:  # a data folder that can't be written to, a database that is away
        tell_error(error)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
