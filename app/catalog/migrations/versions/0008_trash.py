"""Deleted pictures may come back for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "trash",
        sa.Column("id", Number, nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.Column("date", sa.DateTime, nullable=False),
        sa.Column("folder", sa.Text),
        sa.Column("file_time", sa.DateTime),
        sa.Column("trashed_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trash"),
        sa.UniqueConstraint("md5", name="uq_trash_md5"),
    )
    op.create_index("ix_trash_trashed_at", "trash", ["trashed_at"])
