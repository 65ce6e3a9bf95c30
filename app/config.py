"""Settings, from the environment (``GLIMPSE_…``) or a ``.env`` file. Read by the entry points only."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from limits import parse
from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent.parent
BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*'()-]+)*/?")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
ENDPOINT = re.compile(r"https?://[^/@?#\s]+(/[^@?#\s]*)?")
STARTER_MODEL = PROJECT / "models" / "starter"
_PAGES = {"add", "help", "images", "models", "problems", "search", "status", "trash"}
_ACTIONS = {"login", "logout", "upload", "uploads"}
_FILES = {"api", "fragments", "healthz", "metrics", "openapi.json", "readyz", "static", "thumbs"}
OWN_PATHS = _PAGES | _ACTIONS | _FILES
"""First parts of all paths of Glimpse itself."""


def _checked_rate(rate: str) -> str:
    if rate:
        parse(rate)  # raises `ValueError`
    return rate


def _checked_storage(uri: str) -> str:
    try:
        storage_from_string(f"async+{uri}")
    except (ConfigurationError, ValueError) as error:  # both may quote it, with its password
        told = "it has to be like redis://host:6379, with its package installed (pip install coredis)"
        raise ValueError(f"rates can't be counted there: {told}") from error
    return uri


Rate = Annotated[str, AfterValidator(_checked_rate)]
"""As `limits` writes them: ``30/second``, ``10/5 minutes``; nothing for no limit."""


Folder = Annotated[Path, AfterValidator(Path.expanduser)]
"""``~`` is the home folder here too: where no shell has a say, in a ``.env`` file."""


class Settings(BaseSettings):
    """Each field is one setting: ``host`` is ``GLIMPSE_HOST``."""

    model_config = SettingsConfigDict(env_prefix="GLIMPSE_", env_file=".env", extra="ignore", frozen=True)

    data: Folder = Field(PROJECT, description="Folder that holds `images/` and `index/`.")
    catalog: str = Field("", description="URL of the catalog, `postgresql://…`; empty: a file in the data folder.")
    storage: str = Field("", description="Where pictures lie: a folder or `s3://bucket/prefix`; by default `images/`.")
    storage_endpoint: str = Field("", description="Address of an S3-compatible server other than Amazon's.")
    storage_urls: Literal["proxy", "signed"] = Field(
        "proxy", description="Whether browsers get pictures of a bucket from here or, by signed links, from there."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(3000, ge=0, le=65535, description="Port to listen on.")
    hosts: str = Field("", description="Public names this is reached by, with commas between; `*` for any.")
    root_path: str = Field("", description="Path below which a reverse proxy shows this, such as `/pictures`.")
    open: bool = Field(False, description="Serve other machines without a password.")
    model: str = Field(
        "auto",
        min_length=1,
        description="Model by name or folder; `auto`: the best CLIP model in the local cache, else the bundled one.",
    )
    text_model: str = Field("", description="Another model that reads the words, trained for the space of `model`.")
    precision: Literal["auto", "fp32", "bf16", "int8"] = Field(
        "auto", description="Numbers the model computes in; `auto`: the fastest that change nothing."
    )
    vectors: str = Field(
        "faiss",
        pattern=r"^(faiss|pgvector|(milvus|qdrant)(\+tls)?://[^/]+.*|postgresql://.+)$",
        description="Where vectors are searched: `faiss` here in memory, or an engine (docs/scaling.md).",
    )
    worker: bool = Field(True, description="Whether the server starts a worker of its own.")
    demo: bool = Field(False, description="Fill an empty gallery with pictures drawn by code.")
    watch: str = Field("", description="Folders to take new pictures in from, with `:` between (`;` on Windows).")
    watch_exclude: str = Field("", description="What to leave out of them, with commas between.")
    watch_seconds: PositiveFloat = Field(60, description="Seconds between two looks at them.")
    decode_processes: PositiveInt = Field(2, description="Processes that decode pictures at once.")
    decode_seconds: PositiveFloat = Field(30, description="Seconds after which decoding one picture is given up.")
    max_file_mb: PositiveInt = Field(200, description="Largest file taken in, in megabytes.")
    max_megapixels: PositiveInt = Field(80, description="Largest picture taken in, in megapixels.")
    max_files: PositiveInt = Field(5000, description="Most files in one upload.")
    max_upload_mb: PositiveInt = Field(20_000, description="Largest upload of any number of files, in megabytes.")
    max_uploads: PositiveInt = Field(8, description="Uploads that one address may have under way at once.")
    idle_seconds: PositiveFloat = Field(60, description="Seconds after which an upload that stands still is given up.")
    request_rate: Rate = Field("200/second", description="Most requests of one address, previews not counted.")
    search_rate: Rate = Field("30/second", description="Most searches of one address.")
    picture_rate: Rate = Field("60/minute", description="Most searches by a picture of one address.")
    sign_in_rate: Rate = Field("10/5 minutes", description="Most wrong passwords of one address.")
    rate_storage: Annotated[str, AfterValidator(_checked_storage)] = Field(
        "memory://", description="Where rates are counted, so that several servers can share it."
    )
    page_size: PositiveInt = Field(60, le=500, description="Pictures on one page.")
    trash_days: PositiveFloat = Field(30, description="Days after which a deleted picture is gone for good.")
    index_ttl: PositiveFloat = Field(300, description="Seconds an unused vector index stays in memory.")
    metrics: bool = Field(False, description="Whether `/metrics` tells figures for Prometheus.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")

    def environment(self) -> dict[str, str]:
        """The same settings as environment variables, for a process that is started."""
        return {f"GLIMPSE_{name.upper()}": str(value) for name, value in self}

    @field_validator("storage")
    @classmethod
    def _is_folder_or_bucket(cls, storage: str) -> str:
        if "://" not in storage:
            return storage and str(Path(storage).expanduser())
        if not BUCKET.fullmatch(storage):
            raise ValueError("it has to be a folder, or like s3://bucket/prefix without a key, a password or a `?`")
        return storage.rstrip("/")

    @field_validator("storage_endpoint")
    @classmethod
    def _is_address(cls, endpoint: str) -> str:
        if endpoint and not ENDPOINT.fullmatch(endpoint):
            raise ValueError("it has to be like https://objects.example.org or http://127.0.0.1:9000, without a key")
        return endpoint.rstrip("/")

    @field_validator("root_path")
    @classmethod
    def _is_nothing_of_our_own(cls, path: str) -> str:
        """Else nobody could tell whether a proxy took it away already."""
        first = path.strip("/").partition("/")[0]
        if first in OWN_PATHS:
            raise ValueError(f"Glimpse has pages of its own below /{first}: choose another path, such as /pictures")
        return path

    @property
    def in_bucket(self) -> bool:
        """Whether pictures lie in an object store."""
        return "://" in self.storage

    @property
    def images(self) -> Path:
        """Folder of originals and thumbnails, unless they lie in a bucket."""
        return Path(self.storage) if self.storage and not self.in_bucket else self.data / "images"

    @property
    def index(self) -> Path:
        """Folder of the catalog and everything derived from it."""
        return self.data / "index"

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach the address listened on."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def prefix(self) -> str:
        """`root_path` with a slash in front and none behind."""
        return f"/{self.root_path.strip('/')}".rstrip("/")

    @property
    def watched_folders(self) -> tuple[Path, ...]:
        """Folders that are watched."""
        return tuple(Path(folder) for folder in self.watch.split(os.pathsep) if folder.strip())

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """Names besides local ones that requests may come for."""
        return _parts(self.hosts)

    @property
    def watch_excluded(self) -> tuple[str, ...]:
        """Patterns of what is left out of watched folders."""
        return _parts(self.watch_exclude)

    @property
    def max_pixels(self) -> int:
        """Pixels of the largest picture taken in."""
        return self.max_megapixels * 1_000_000

    @field_validator("vectors")
    @classmethod
    def _has_a_server(cls, vectors: str, others: ValidationInfo) -> str:
        if vectors == "pgvector" and not others.data.get("catalog", "").startswith("postgresql"):
            raise ValueError("say which server, postgresql://…, or keep the catalog in one")
        return vectors

    @property
    def vectors_url(self) -> str | None:
        """URL of the vector engine; ``None`` for an index in this process."""
        if self.vectors == "pgvector":
            return self.catalog_url
        return None if self.vectors == "faiss" else self.vectors

    @property
    def catalog_url(self) -> str:
        """SQLAlchemy URL of the catalog."""
        return self.catalog or f"sqlite:///{self.catalog_file}"

    @property
    def catalog_file(self) -> Path:
        """Where the catalog lies unless it is elsewhere."""
        return self.index / "catalog.sqlite3"


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
