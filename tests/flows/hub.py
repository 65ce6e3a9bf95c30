"""A small model hub on this machine: as much of the real one's API as its client asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves folders by name (``owner/model``). ``asked`` are the files that were sent; ``claims`` are sizes to lie
    about, by path."""

    def __init__(self, **repositories: Path) -> None:
        self.repositories = {name.replace("__", "/"): folder for name, folder in repositories.items()}
        self.asked: list[str] = []
        self.claims: dict[str, int] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def log_message(self, *_arguments: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        path = unquote(urlsplit(request.path).path).strip("/")
        name = next((name for name in self.repositories if f"{name}/" in f"{path}/"), None)
        if name is None:
            self._send(request, 404, b"", body, {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("api/models/"):
            told = self._files(name) if "/tree/" in path else {"id": name, "modelId": name, "sha": COMMIT}
            self._send(request, 200, json.dumps(told).encode(), body, {"Content-Type": "application/json"})
        else:
            self._send_file(request, name, path.partition("/resolve/")[2].partition("/")[2], body)

    def _files(self, name: str) -> list[dict[str, object]]:
        folder = self.repositories[name]
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        names = [path.relative_to(folder).as_posix() for path in files]
        return [
            {"type": "file", "path": name, "size": self.claims.get(name, path.stat().st_size), "oid": _etag(path)}
            for name, path in zip(names, files, strict=True)
        ]

    def _send_file(self, request: BaseHTTPRequestHandler, name: str, file: str, body: bool) -> None:
        path = self.repositories[name] / file
        if not path.is_file():
            self._send(request, 404, b"", body, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": COMMIT}
        if file in self.claims and not body:
            headers["X-Linked-Size"] = str(self.claims[file])
        if body:
            self.asked.append(file)
        self._send(request, 200, path.read_bytes(), body, headers)

    def _send(
        self, request: BaseHTTPRequestHandler, code: int, content: bytes, body: bool, headers: dict[str, str]
    ) -> None:
        request.send_response(code)
        for header, value in headers.items():
            request.send_header(header, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if body:
            request.wfile.write(content)


def _etag(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:40]
