"""Pictures keep the date they stand under, and days how many pictures they have."""

import sqlalchemy as sa
from alembic import op

from app.catalog import postgresql_schema

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UNKNOWN = "1970-01-01 00:00:00.000000"
ADDED = "strftime('%Y-%m-%d %H:%M:%f', added_at, 'localtime') || '000'"  # as SQLAlchemy writes it


def upgrade() -> None:
    op.add_column("images", sa.Column("date", sa.DateTime, nullable=False, server_default=UNKNOWN))
    if op.get_bind().dialect.name == "postgresql":  # where there is no older catalog
        op.create_index("ix_images_date_id", "images", ["date", "id"])
        postgresql_schema.create_days(op.get_bind())
        return
    op.execute(f"UPDATE images SET date = coalesce(taken_at, {ADDED}, '{UNKNOWN}')")  # noqa: S608 - constants
    op.create_index("ix_images_date_id", "images", ["date", "id"])
    op.create_table(
        "days",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("pictures", sa.Integer, nullable=False),
    )
    op.execute("INSERT INTO days SELECT substr(date, 1, 10), count(*) FROM images GROUP BY 1")
    more = (
        "INSERT INTO days VALUES (substr(NEW.date, 1, 10), 1) ON CONFLICT (day) DO UPDATE SET pictures = pictures + 1;"
    )
    fewer = (
        "UPDATE days SET pictures = pictures - 1 WHERE day = substr(OLD.date, 1, 10);"
        "DELETE FROM days WHERE day = substr(OLD.date, 1, 10) AND pictures = 0;"
    )
    op.execute(f"CREATE TRIGGER days_insert AFTER INSERT ON images BEGIN {more} END")
    op.execute(f"CREATE TRIGGER days_delete AFTER DELETE ON images BEGIN {fewer} END")
    op.execute(
        "CREATE TRIGGER days_update AFTER UPDATE OF date ON images "
        f"WHEN substr(NEW.date, 1, 10) <> substr(OLD.date, 1, 10) BEGIN {fewer} {more} END"
    )
