"""The schema, as SQLAlchemy Core tables. `migrations/` builds the same step by step; a test compares the two.

One table is not among them: the full-text index of `app.catalog.words`. On PostgreSQL, `counts` and `days` are views
of `count_changes` and `day_changes`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        # Named constraints are what lets alembic rebuild SQLite tables later (alembic#884).
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Number = BigInteger().with_variant(Integer, "sqlite")
"""64 bits on both: SQLite's INTEGER has them anyway."""

identity = Table("identity", metadata, Column("uuid", String(36), primary_key=True))
"""One row: which catalog this is, so that a snapshot of another one is recognised."""

images = Table(
    "images",
    metadata,
    Column("id", Number, primary_key=True),
    Column("md5", String(32), nullable=False),
    Column("filename", Text, nullable=False),
    Column("format", String(8), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("reason", Text),
    Column("added_at", DateTime, nullable=False),
    Column("taken_at", DateTime),
    Column("camera", Text),
    Column("captions", JSON(none_as_null=True)),  # `app.models.Captions`; NULL: nobody has looked yet
    # By the camera's clock or, where that is not known, the server's: stored, since an index knows no time zones.
    Column("date", DateTime, nullable=False, server_default="1970-01-01 00:00:00.000000"),
    # Where an imported file came from, and when it was last written to: stands in for a missing date taken.
    Column("folder", Text),
    Column("file_time", DateTime),
    # The row is the queue: who works on it, until when (Unix seconds), and how often somebody started.
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("claimed_by", Text),
    Column("claimed_until", Float),
    UniqueConstraint("md5"),
    Index(None, "state", "attempts", "id"),
    Index(None, "claimed_by"),
    Index(None, "format"),
    Index(None, "added_at"),
    Index(None, "taken_at"),
    Index(None, "camera"),
    Index(None, "date", "id"),
    sqlite_autoincrement=True,  # an id is never given twice, so a link never shows another picture
)

counts = Table(
    "counts",
    metadata,
    Column("state", String(8), primary_key=True),
    Column("pictures", Number, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    info={"a view on": "postgresql"},
)
"""Kept by triggers on `images`, so that counting costs the same at a hundred and at a million pictures."""

days = Table(
    "days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("pictures", Number, nullable=False),
    info={"a view on": "postgresql"},
)
"""How many pictures are of each day, by `images.date`: kept by triggers on `images`, too."""

count_changes = Table(
    "count_changes",
    metadata,
    Column("state", String(8), nullable=False),
    Column("pictures", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    info={"only on": "postgresql"},
)
"""What `counts` adds up. Writers that work side by side each add a row, where one row for all would have them wait for
each other; the triggers that write them put rows together now and then."""

day_changes = Table(
    "day_changes",
    metadata,
    Column("day", Date, nullable=False),
    Column("pictures", BigInteger, nullable=False),
    info={"only on": "postgresql"},
)
"""What `days` adds up, in the same way."""

removals = Table(
    "removals",
    metadata,
    Column("md5", String(32), primary_key=True),
    Column("format", String(8), nullable=False),
)
"""Pictures whose row is gone while their files may still lie on disk."""

trash = Table(
    "trash",
    metadata,
    Column("id", Number, primary_key=True),
    Column("md5", String(32), nullable=False),
    Column("filename", Text, nullable=False),
    Column("format", String(8), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("added_at", DateTime, nullable=False),
    Column("date", DateTime, nullable=False),
    Column("folder", Text),
    Column("file_time", DateTime),
    Column("trashed_at", DateTime, nullable=False),
    Column("taken_at", DateTime),
    Column("camera", Text),
    Column("captions", JSON(none_as_null=True)),
    Column("prepared", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("md5"),
    Index(None, "trashed_at"),
)
"""Rows of `images` that were deleted and may come back under the same id. They stand apart, so that nothing that looks
at pictures has to remember to leave them out. ``prepared``: it comes back with its previews and facts."""

spaces = Table(
    "spaces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("serving", Boolean, nullable=False),
    Column("bank", LargeBinary),
    Column("bank_texts", String(64)),
    Column("source", Text),
    UniqueConstraint("model", "fingerprint", "dimension"),
)
"""``bank``: vectors of neutral texts, float32 [texts, dimension] as bytes; ``bank_texts``: a digest of those texts.
``source``: what the model is loaded from, a name or a folder; NULL where that was not kept yet."""

switching = Table(
    "switching",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("setting", Text),
    Column("chosen", Text),
    Column("wanted", Text),
    Column("filling_id", Integer, ForeignKey("spaces.id")),
    Column("after_seq", BigInteger, nullable=False, server_default="0"),
    Column("previous_id", Integer, ForeignKey("spaces.id")),
    Column("failure", Text),
)
"""One row: which model is to serve. ``setting``: GLIMPSE_MODEL when a server last started; ``chosen``: what a person
chose since, if anything; ``wanted``: asked for and not serving yet; ``filling_id``: the space that is filled for it, of
which only vectors behind ``after_seq`` count; ``previous_id``: the way back; ``failure``: why the last wish failed."""

vectors = Table(
    "vectors",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("space_id", Integer, ForeignKey("spaces.id"), nullable=False),
    Column("image_id", Number, nullable=False),
    Column("vector", LargeBinary),
    UniqueConstraint("space_id", "image_id"),
    Index(None, "space_id", "seq"),
    Index(None, "image_id"),
    sqlite_autoincrement=True,  # `seq` only ever grows, also past deleted rows
)
"""The vector log: float32 [dimension] as bytes, NULL for a picture that was removed, or nothing (no bytes) for one that
the model could not read while its space was filled. One entry per picture and space: a newer one replaces the older
under a higher `seq`, so the log never outgrows the library's history of ids."""

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seen_at", Float, nullable=False),
    Column("rate", Float, nullable=False),
    Column("message", Text),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Float, nullable=False),
)
"""What only one process may do at a time, who does it, and until when (Unix seconds) that holds without a word."""

receipts = Table(
    "receipts",
    metadata,
    Column("token", String(32), primary_key=True),
    Column("created_at", Float, nullable=False),
    Column("results", JSON, nullable=False),
    Index(None, "created_at"),
)
"""What became of each file of an upload by the plain form, for the page that tells."""

imports = Table(
    "imports",
    metadata,
    Column("path", Text, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("modified", BigInteger, nullable=False),
    Column("image_id", Number, nullable=False),
)
"""Files that were imported, so that the next import need not read them again. ``path``: absolute, with the member of an
archive behind ``!/``; ``modified``: nanoseconds since 1970; ``image_id``: 0 where it is no picture."""

watched = Table(
    "watched",
    metadata,
    Column("folder", Text, primary_key=True),
    Column("seen_at", Float, nullable=False),
    Column("every", Float, nullable=False),
    Column("files", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("gone", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("message", Text),
)
"""What the last look at each watched folder has seen (`app.models.WatchedFolder`)."""

access = Table(
    "access",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("password", Text),
    Column("secret", LargeBinary, nullable=False),
)
"""One row. ``password``: an Argon2 hash, or NULL where none is asked for; ``secret``: 32 bytes that sign sessions."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scope", String(8), nullable=False),
    Column("created_at", DateTime, nullable=False),
    UniqueConstraint("name"),
    UniqueConstraint("digest"),
)
"""``digest``: SHA-256 of the key in hex. Keys are 256 random bits, so nothing slower is needed."""
