"""Texts that stand in the files of pictures, and the full-text index over them and the file names."""

import sqlalchemy as sa
from alembic import op

from app.catalog import postgresql_schema
from app.catalog.words import indexed, without_ending

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BATCH = 10_000


def upgrade() -> None:
    op.add_column("images", sa.Column("captions", sa.JSON))
    if op.get_bind().dialect.name == "postgresql":
        postgresql_schema.create_words(op.get_bind())
        return  # there is no older catalog there
    op.execute('CREATE VIRTUAL TABLE words USING fts5(name, caption, tokenize = "unicode61 remove_diacritics 2")')
    connection = op.get_bind()
    after = 0
    while rows := connection.execute(
        sa.text("SELECT id, filename FROM images WHERE id > :after ORDER BY id LIMIT :batch"),
        {"after": after, "batch": BATCH},
    ).all():
        named = [{"id": row.id, "name": indexed(without_ending(row.filename))} for row in rows]
        connection.execute(sa.text("INSERT INTO words (rowid, name, caption) VALUES (:id, :name, '')"), named)
        after = rows[-1].id
