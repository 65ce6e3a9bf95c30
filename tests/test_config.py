"""Settings: from the environment, to the environment, and each one documented."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.config import OWN_PATHS, PROJECT, Settings
from app.entry import read_settings
from app.main import create_app
from tests.encoders import ColourEncoder

NAMES = {f"GLIMPSE_{name.upper()}" for name in Settings.model_fields}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing set, and no `.env` in the way."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_every_setting_is_in_the_readme() -> None:
    told = set(re.findall(r"GLIMPSE_[A-Z_]+", (PROJECT / "README.md").read_text("utf-8")))
    assert sorted(NAMES - told) == []


def test_the_readme_tells_of_no_setting_that_does_not_exist() -> None:
    told = set(re.findall(r"GLIMPSE_[A-Z_]+[A-Z]", (PROJECT / "README.md").read_text("utf-8")))
    assert sorted(told - NAMES) == []


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_the_home_folder_is_meant_where_no_shell_says_so(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GLIMPSE_DATA=~/gallery\nGLIMPSE_STORAGE=~/pictures\n")
    settings = Settings()
    assert (settings.data, settings.images) == (Path.home() / "gallery", Path.home() / "pictures")


@pytest.mark.skipif(os.name == "nt", reason="folders have no such rights there")
def test_a_folder_that_may_not_be_looked_into_has_no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `sudo -u glimpse` is said in one's own home folder."""
    closed = tmp_path / "home"
    closed.mkdir()
    monkeypatch.chdir(closed)
    closed.chmod(0)
    with as_nobody():
        with pytest.raises(PermissionError):
            Path(".env").is_file()
        assert read_settings().port == 3000
    closed.chmod(0o700)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may look into everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_without_anything_set_it_serves_this_machine_alone() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.model, settings.data) == ("127.0.0.1", 3000, "auto", PROJECT)


CHANGED: dict[str, Any] = {
    "data": Path("/mnt/my pictures"),
    "storage": "s3://my-bucket/some/where",
    "storage_endpoint": "http://127.0.0.1:9000",
    "storage_urls": "signed",
    "host": "0.0.0.0",  # noqa: S104 - a value like any other
    "port": 8080,
    "open": True,
    "model": "clip-ViT-B-32",
    "worker": False,
    "demo": True,
    "decode_processes": 7,
    "decode_seconds": 2.5,
    "max_file_mb": 5,
    "max_megapixels": 12,
    "max_files": 3,
    "max_upload_mb": 50,
    "max_uploads": 2,
    "idle_seconds": 1.5,
    "request_rate": "5/second",
    "search_rate": "",
    "picture_rate": "1/minute",
    "sign_in_rate": "3/10 minutes",
    "page_size": 10,
    "trash_days": 0.5,
    "index_ttl": 1.5,
    "log_level": "debug",
}


def test_settings_go_through_the_environment_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CHANGED.keys() <= Settings.model_fields.keys()
    for settings in (Settings(), Settings(**CHANGED)):
        environment = settings.environment()
        assert environment.keys() == NAMES
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert Settings() == settings


def test_a_file_beside_the_project_is_read_and_the_environment_goes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GLIMPSE_PORT=4000\nGLIMPSE_HOST=::1\nOTHER=1\n")
    monkeypatch.setenv("GLIMPSE_PORT", "5000")
    assert (Settings().port, Settings().host) == (5000, "::1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "-1"),
        ("port", "70000"),
        ("port", "http"),
        ("model", ""),
        ("max_file_mb", "0"),
        ("decode_seconds", "0"),
        ("page_size", "501"),
        ("log_level", "loud"),
        ("search_rate", "often"),
        ("rate_storage", "nowhere://"),
        ("worker", "perhaps"),
        ("storage", "s3://"),
        ("storage", "s3://bucket?key=secret"),
        ("storage", "s3://key:secret@bucket/pictures"),
        ("storage", "gs://bucket"),
        ("storage", "https://bucket.s3.amazonaws.com"),
        ("storage_endpoint", "objects.example.org"),
        ("storage_endpoint", "https://key:secret@objects.example.org"),
        ("storage_urls", "public"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GLIMPSE_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_folders_lie_below_the_data(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, max_megapixels=12)
    assert (settings.images, settings.index) == (tmp_path / "images", tmp_path / "index")
    assert settings.catalog_url == f"sqlite:///{tmp_path}/index/catalog.sqlite3"
    assert settings.max_pixels == 12_000_000


@pytest.mark.parametrize(
    ("storage", "in_bucket", "images"),
    [
        ("", False, "/data/images"),
        ("/mnt/pictures", False, "/mnt/pictures"),
        ("s3://my.bucket-1", True, "/data/images"),
        ("s3://bucket/a/b-c_d.e/", True, "/data/images"),
    ],
)
def test_pictures_lie_in_a_folder_or_in_a_bucket(storage: str, in_bucket: bool, images: str) -> None:
    settings = Settings(data=Path("/data"), storage=storage)
    assert (settings.in_bucket, str(settings.images)) == (in_bucket, images)
    assert not settings.storage.endswith("/")


@pytest.mark.parametrize("path", ["/images", "search", "/trash/", "/models/of/mine", "/api"])
def test_a_path_of_our_own_is_no_prefix(path: str) -> None:
    with pytest.raises(ValidationError, match="choose another path, such as /pictures"):
        Settings(root_path=path)


def test_all_paths_of_our_own_are_known(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path, worker=False, metrics=True), ColourEncoder)
    included = [router.routes for part in app.routes if (router := getattr(part, "original_router", None))]
    paths = {getattr(route, "path", "/") for route in chain(app.routes, *included)}
    assert {path.split("/")[1] for path in paths} - {""} == OWN_PATHS
