"""The command line: `serve` and `worker`. Thin; what they do stands elsewhere."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from app.config import Settings

cli = typer.Typer(
    add_completion=False, no_args_is_help=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)


@cli.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on [3000].")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder that holds `images/` and `index/`.")] = None,
    model: Annotated[str | None, typer.Option(help="Model by name or folder [auto].")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Fill an empty gallery with drawn pictures.")] = False,
    reload: Annotated[bool, typer.Option("--reload", help="Start again when the code changes.")] = False,
) -> None:
    """**Glimpse**: a gallery in which you find your own pictures by describing them.

    Without a command it serves: `python run.py`, then open http://127.0.0.1:3000.

    Every option is a setting as well (`GLIMPSE_PORT=8080`); README.md lists them all.
    """
    chosen = {"host": host, "port": port, "data": data, "model": model, "demo": demo or None}
    # Through the environment, so that the processes this one starts have the same settings.
    os.environ.update({f"GLIMPSE_{name.upper()}": str(value) for name, value in chosen.items() if value is not None})
    if context.invoked_subcommand is None:
        _serve(reload)


def _settings() -> Settings:
    """The settings, or the end of the program with what is wrong with them."""
    try:
        return Settings()
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            typer.echo(f"GLIMPSE_{name} is {fault['input']!r}: {fault['msg']}. README.md lists all settings.", err=True)
        raise typer.Exit(2) from error


def _serve(reload: bool) -> None:
    import uvicorn

    settings = _settings()
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
        timeout_graceful_shutdown=5,
    )


@cli.command()
def worker(
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Prepare and index pictures, beside the server's own worker or instead of it.

    Example: `GLIMPSE_WORKER=false python run.py` in one terminal, `python run.py worker` in another.
    """
    from app.main import configure_logging, create_worker

    settings = _settings()
    configure_logging(settings)
    if hasattr(os, "nice"):
        os.nice(10)  # pages come first
    with create_worker(settings) as working:
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
    code: object = 0
    try:
        cli()
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
