"""`models …` and `reindex`: which model finds, on the command line. What they do stands in `app.library.choosing`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.entry import read_settings, settings_of_a_library, told
from app.errors import ModelUnavailable

if TYPE_CHECKING:
    from app.config import Settings
    from app.library.choosing import Chooser, ListedModel
    from app.library.library import Library

models = typer.Typer(
    help="Which model finds: those there are, fetching, changing over, going back, comparing.",
    rich_markup_mode="markdown",
)

WORDS_WITH_MINUS = {"ignore_unknown_options": True}
"""For commands that take a query: `-people` is a part of it, and no option."""

Name = Annotated[str, typer.Argument(help="A name as `models` lists it, any name on the hub, or a folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """Which model finds. Without a command: models to choose from, and what they do here.

    *Cost* is the arithmetic of the picture network beside ViT-B/32's; *finds* is COCO text → image R@1 in percent, both
    as published; *here* is what was measured on this machine.

    Example: `python run.py models`
    """
    if context.invoked_subcommand is not None:
        return
    from app.terminal import show_table

    with _library(settings_of_a_library()) as library:
        listed = library.chooser.models()
    if as_json:
        typer.echo(json.dumps([_as_json(model) for model in listed], indent=2, ensure_ascii=False))
    else:
        heads = ("", "model", "download", "dimensions", "cost", "finds", "on this machine", "here", "")
        show_table(heads, [_cells(model) for model in listed])


def _cells(model: ListedModel) -> tuple[str, ...]:
    known = model.known
    return (
        model.role.value if model.role else "",
        model.source,
        f"{known.megabytes:,} MB" if known else "",
        str(model.dimension or ""),
        f"{known.cost:g}" if known else "",
        f"{known.recall:.0f}" if known and known.recall else "",
        "yes" if model.here else "no",
        f"{model.per_second:.0f} pictures/s" if model.per_second else "",
        known.note if known else "",
    )


def _as_json(model: ListedModel) -> dict[str, Any]:
    known = model.known
    return {
        "name": model.source,
        "role": model.role.value if model.role else None,
        "download_mb": known.megabytes if known else None,
        "dimension": model.dimension,
        "cost": known.cost if known else None,
        "recall": known.recall if known else None,
        "here": model.here,
        "pictures_per_second": model.per_second,
    }


@models.command()
def fetch(name: Name) -> None:
    """Fetch a model from the hub into the local cache, without using it. Only weights that can hold no code.

    Example: `python run.py models fetch laion/CLIP-ViT-B-32-laion2B-s34B-b79K`
    """
    with told(), _library(read_settings()) as library:
        new = _fetch(library.chooser, name)
    typer.echo(f"{name} is here." if new else f"{name} was here already.", err=True)


@models.command()
def use(name: Name) -> None:
    """Have a model serve, without a pause: its space is filled in the background while the present one answers.

    It takes over by itself when no picture is missing; `status` tells how far it is, `models rollback` goes back. What
    is chosen holds until GLIMPSE_MODEL is changed. To choose the model that serves ends a filling.

    Example: `python run.py models use clip-ViT-B-32`
    """
    with told(), _library(read_settings()) as library:  # may be chosen before the first start
        chooser = library.chooser
        try:
            _fetch(chooser, name)
            chooser.try_out(name)
        except ModelUnavailable as error:
            chooser.complain(str(error))
            raise
        chooser.use(name)
        switch, running = library.status.read().switch, library.status.read().worker.alive
    if switch.wanted is None:
        typer.echo(f"{switch.serving} serves.", err=True)
    elif switch.serving is None:
        typer.echo(f"{name} serves as soon as a server runs.", err=True)
    else:
        when = "in the background" if running else "when a server runs"
        typer.echo(f"{switch.serving} serves on. The space of {name} is filled {when}, and then takes over.", err=True)


@models.command()
def rollback() -> None:
    """Have the model before serve again, at once: its vectors were kept. Pictures that came since are embedded next.

    Example: `python run.py models rollback`
    """
    with told(), _library(settings_of_a_library()) as library:
        name = library.chooser.roll_back()
        waiting = library.images.counts().to_do
    since = (
        f" {waiting:,} picture{'' if waiting == 1 else 's'} that came since will be searchable soon." if waiting else ""
    )
    typer.echo(f"{name} serves again.{since}", err=True)


@models.command(context_settings=WORDS_WITH_MINUS)
def compare(
    query: Annotated[str, typer.Argument(help="As in the search box.")],
    top: Annotated[int, typer.Option(min=1, max=100, help="How many results of each.")] = 10,
    as_json: AsJson = False,
) -> None:
    """What the model that serves finds beside the one that is filled or, while none is, the one before.

    Example: `python run.py models compare "a dog on a beach"`
    """
    from app.finding import compare as compare_models
    from app.terminal import show_table

    with told():
        found = compare_models(settings_of_a_library(), query, top)
    if as_json:
        both = [{"model": name, "results": [hit.as_json() for hit in hits]} for name, hits in found]
        typer.echo(json.dumps({"query": query, "models": both}, indent=2, ensure_ascii=False))
        return
    columns = [[f"{hit.cells()[2]} ({hit.cells()[0]})" for hit in hits] for _, hits in found]
    longest = max(len(column) for column in columns)
    ranks = (tuple(column[rank] if rank < len(column) else "" for column in columns) for rank in range(longest))
    show_table(("", *(name for name, _ in found)), [(str(rank), *cells) for rank, cells in enumerate(ranks, start=1)])


def reindex() -> None:
    """Embed all pictures again with the model that serves, in the background: after trouble, say.

    Nothing is missing meanwhile: each picture keeps its vector until the new one takes its place.

    Example: `python run.py reindex`
    """
    with told(), _library(settings_of_a_library()) as library:
        library.chooser.embed_anew()
        counts = library.images.counts()
    typer.echo(f"{counts.indexed:,} pictures are embedded again in the background.", err=True)


def _fetch(chooser: Chooser, name: str) -> bool:
    from app.terminal import with_bytes

    with with_bytes(name) as progress:
        return chooser.fetch(name, progress)


@contextmanager
def _library(settings: Settings) -> Iterator[Library]:
    from app.main import open_library

    with open_library(settings) as library:
        yield library
