"""What all commands share: their settings, and errors that end them with a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError

from app.config import Settings
from app.errors import GlimpseError

SECRET = ("catalog", "vectors", "storage", "storage_endpoint", "rate_storage")
"""Settings that may hold a password: they are never shown."""


def read_settings(**changed: str) -> Settings:
    """The settings, or the end of the program with what is wrong with them."""
    try:
        try:
            return Settings(**changed)  # type: ignore[arg-type] # pydantic reads texts, as in the environment
        except PermissionError:  # who runs this may not look into the folder it runs in, and so has no `.env` there
            return Settings(_env_file=None, **changed)  # type: ignore[arg-type]
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"])
            what = "can't be used" if name in SECRET else f"is {fault['input']!r}"
            typer.echo(f"GLIMPSE_{name.upper()} {what}: {fault['msg']}. README.md lists all settings.", err=True)
        raise typer.Exit(2) from error


def settings_of_a_library() -> Settings:
    """The settings, where they name a library that is there; else the end of the program.

    Whoever looks into a library must not make a new, empty one, and find all well in it.
    """
    settings = read_settings()
    here = any(settings.index.glob(f"{settings.catalog_file.name}*")) or any(settings.images.glob("[!.]*"))
    if settings.catalog or settings.in_bucket or here:
        return settings
    typer.echo(
        f"There is no library in {settings.data}. Say where it is: --data FOLDER, or GLIMPSE_DATA, as for the server.",
        err=True,
    )
    raise typer.Exit(1)


@contextmanager
def told() -> Iterator[None]:
    """An error that was raised on purpose, or by the disk, ends the command with its message."""
    try:
        yield
    except BrokenPipeError:  # who reads the data has enough
        raise
    except (GlimpseError, OSError) as error:
        tell_error(error)
        raise typer.Exit(1) from error


def tell_error(error: OSError | GlimpseError) -> None:
    """The message; of what the disk says, with the file it is about."""
    if isinstance(error, GlimpseError):
        typer.echo(str(error), err=True)
        return
    where = f": {error.filename}" if error.filename else ""
    typer.echo(f"{error.strerror or error}{where}.", err=True)
