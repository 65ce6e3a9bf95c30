"""A catalog of every version there ever was, with a library in it, is brought up to date: nothing is missing, and all
goes on as in one that was made today.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.catalog.database import MIGRATIONS, Database
from app.config import Settings
from app.main import create_doctor
from tests.conftest import Glimpse, running
from tests.pictures import picture, with_captions, with_facts

CONFIG = Config()
CONFIG.set_main_option("script_location", str(MIGRATIONS))
REVISIONS = sorted(script.revision for script in ScriptDirectory.from_config(CONFIG).walk_revisions())
BY_TRIGGERS = {"counts", "days"}
"""Tables that are kept by triggers."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a library of today: three searchable pictures, one that failed, and one in the trash."""
    folder = tmp_path_factory.mktemp("today")
    with running(settings_for(folder)) as glimpse:
        glimpse.upload(
            ("red.jpg", with_facts()),
            ("ferry.jpg", with_captions("Ferry at dawn", color="blue")),
            ("green.jpg", picture("green")),
            ("torn.jpg", picture("white", (640, 480))[:900]),
            ("yellow.jpg", picture("yellow")),
        )
        glimpse.work()
        assert glimpse.counts() == {"total": 5, "pending": 0, "prepared": 0, "indexed": 4, "failed": 1}
        glimpse.client.delete("/api/v1/images/5")
    return folder


def settings_for(folder: Path) -> Settings:
    return Settings(_env_file=None, data=folder, worker=False, model="colours")


def as_of(revision: str, library: Path, folder: Path) -> None:
    """Copy a library into ``folder``, with its catalog as an older version would have it."""
    shutil.copytree(library / "images", folder / "images")
    (folder / "index").mkdir()
    catalog = folder / "index" / "catalog.sqlite3"
    database = Database(f"sqlite:///{catalog}")
    with database.writing() as connection:
        CONFIG.attributes["connection"] = connection
        command.upgrade(CONFIG, revision)
    database.close()
    with closing(sqlite3.connect(catalog)) as old:
        old.execute("ATTACH ? AS today", (str(library / "index" / "catalog.sqlite3"),))
        for table in tables_of(old):  # the highest ids ever given come last
            columns = ", ".join(columns_of(old, table))
            old.execute(f"DELETE FROM {table}")  # noqa: S608 - names of tables
            old.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM today.{table}")  # noqa: S608
        if "trash" not in tables_of(old):
            [(md5,)] = old.execute("SELECT md5 FROM today.trash")
            for path in (folder / "images").rglob(f"{md5}.*"):
                path.unlink()
        old.commit()


def tables_of(catalog: sqlite3.Connection) -> list[str]:
    names = [name for (name,) in catalog.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
    hidden = {name for name in names if name.startswith(("words_", "alembic_"))}
    return sorted(set(names) - hidden - BY_TRIGGERS, key=lambda name: (name == "sqlite_sequence", name))


def columns_of(catalog: sqlite3.Connection, table: str) -> list[str]:
    names = [row[1] for row in catalog.execute(f"PRAGMA main.table_info({table})")]
    return ["rowid", *names] if table == "words" else names


def shown(glimpse: Glimpse) -> list[dict[str, object]]:
    images: list[dict[str, object]] = glimpse.client.get("/api/v1/images").json()["images"]
    return images


@pytest.mark.parametrize("revision", REVISIONS)
def test_everything_of_it_is_there(revision: str, library: Path, tmp_path: Path) -> None:
    as_of(revision, library, tmp_path)
    with running(settings_for(library)) as today:
        expected, scores = shown(today), today.client.get("/api/v1/search?q=red").json()["results"]
    with running(settings_for(tmp_path)) as glimpse:
        assert glimpse.search("red")[0] == "red.jpg", "without a worker: by the vectors that were there"
        glimpse.work(lambda: shown(glimpse) == expected)
        assert glimpse.client.get("/api/v1/search?q=red").json()["results"] == scores
        assert glimpse.search("dawn")[0] == "ferry.jpg"
        assert glimpse.counts()["total"] == 4
        trashed = glimpse.client.get("/api/v1/trash").json()["images"]
        assert [item["filename"] for item in trashed] == (["yellow.jpg"] if revision >= "0008" else [])
        assert_lives_on(glimpse)
    with create_doctor(settings_for(tmp_path)) as doctor:
        assert [finding.what for finding in doctor.examine(deep=True)] == []


def assert_lives_on(glimpse: Glimpse) -> None:
    """Pictures come in, are found, go, and come back."""
    [added] = glimpse.upload(("orange.jpg", picture("orange")))
    assert added["id"] == 6, "no id is given twice"
    assert glimpse.client.delete("/api/v1/images/3").status_code == 204
    assert glimpse.client.post("/api/v1/images/3/restore").status_code == 200
    assert glimpse.client.delete("/api/v1/images/1?forever=true").status_code == 204
    glimpse.work()
    assert glimpse.search("orange")[0] == "orange.jpg"
    assert sorted(glimpse.search("green")) == ["ferry.jpg", "green.jpg", "orange.jpg"]
