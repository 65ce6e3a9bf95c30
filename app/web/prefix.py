"""The path that a reverse proxy puts in front of everything, such as ``/pictures`` (ASGI's ``root_path``).

Inside, paths start at the application's root. Proxies may take the prefix away before they pass a request on, or leave
it: both are understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class WholePath:
    """Puts the prefix back that a proxy took away, as ASGI wants it: below mounts Starlette finds nothing without.

    https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = prefix_of(scope)
        if scope["type"] == "http" and scope["path"] == prefix:
            scope["path"] = f"{prefix}/"
        elif scope["type"] == "http" and not scope["path"].startswith(f"{prefix}/"):
            scope["path"] = prefix + scope["path"]
        await self._app(scope, receive, send)


def prefix_of(scope: Mapping[str, Any]) -> str:
    """``/pictures``, or nothing. Below a mount, ``root_path`` is the mount's own."""
    return str(scope.get("app_root_path", scope.get("root_path", ""))).rstrip("/")


def path_inside(scope: Mapping[str, Any]) -> str:
    """The path that was asked for, without the prefix."""
    path: str = scope["path"]
    prefix = prefix_of(scope)
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def see(request: Request, path: str) -> RedirectResponse:
    """Send the browser to ``path`` with a GET."""
    return RedirectResponse(prefix_of(request.scope) + path, 303)
