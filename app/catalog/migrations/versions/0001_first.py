"""The first schema: images as queue, counts, spaces, the vector log, workers, receipts."""

import uuid

import sqlalchemy as sa
from alembic import op

from app.catalog import postgresql_schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
STATES = ("pending", "prepared", "indexed", "failed")


def upgrade() -> None:
    identity = op.create_table("identity", sa.Column("uuid", sa.String(36), nullable=False, primary_key=True))
    op.bulk_insert(identity, [{"uuid": str(uuid.uuid4())}])
    _create_images()
    _create_counts()
    _create_vectors()
    op.create_table(
        "workers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.Float, nullable=False),
        sa.Column("rate", sa.Float, nullable=False),
        sa.Column("message", sa.Text),
    )
    op.create_table(
        "receipts",
        sa.Column("token", sa.String(32), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("results", sa.JSON, nullable=False),
    )
    op.create_index("ix_receipts_created_at", "receipts", ["created_at"])


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", Number, primary_key=True),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.Column("taken_at", sa.DateTime),
        sa.Column("camera", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("claimed_by", sa.Text),
        sa.Column("claimed_until", sa.Float),
        sa.UniqueConstraint("md5"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_images_state_attempts_id", "images", ["state", "attempts", "id"])
    op.create_index("ix_images_claimed_by", "images", ["claimed_by"])
    op.create_table(
        "removals",
        sa.Column("md5", sa.String(32), primary_key=True),
        sa.Column("format", sa.String(8), nullable=False),
    )


def _create_counts() -> None:
    if op.get_bind().dialect.name == "postgresql":
        postgresql_schema.create_counts(op.get_bind())
        return
    counts = op.create_table(
        "counts",
        sa.Column("state", sa.String(8), primary_key=True),
        sa.Column("pictures", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counts, [{"state": state, "pictures": 0, "bytes": 0} for state in STATES])
    more = "UPDATE counts SET pictures = pictures + 1, bytes = bytes + NEW.bytes WHERE state = NEW.state;"
    fewer = "UPDATE counts SET pictures = pictures - 1, bytes = bytes - OLD.bytes WHERE state = OLD.state;"
    op.execute(f"CREATE TRIGGER counts_insert AFTER INSERT ON images BEGIN {more} END")
    op.execute(f"CREATE TRIGGER counts_delete AFTER DELETE ON images BEGIN {fewer} END")
    op.execute(
        "CREATE TRIGGER counts_update AFTER UPDATE OF state ON images "
        f"WHEN NEW.state <> OLD.state BEGIN {fewer} {more} END"
    )


def _create_vectors() -> None:
    op.create_table(
        "spaces",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("serving", sa.Boolean, nullable=False),
        sa.UniqueConstraint("model", "fingerprint", "dimension"),
    )
    op.create_table(
        "vectors",
        sa.Column("seq", Number, primary_key=True),
        sa.Column("space_id", sa.Integer, sa.ForeignKey("spaces.id"), nullable=False),
        sa.Column("image_id", Number, nullable=False),
        sa.Column("vector", sa.LargeBinary),
        sa.UniqueConstraint("space_id", "image_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_vectors_space_id_seq", "vectors", ["space_id", "seq"])
    op.create_index("ix_vectors_image_id", "vectors", ["image_id"])
    if op.get_bind().dialect.name == "postgresql":
        postgresql_schema.keep_log_in_order(op.get_bind())
