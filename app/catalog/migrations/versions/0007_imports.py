"""Where imported files came from, and which need not be read again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("images", sa.Column("folder", sa.Text))
    op.add_column("images", sa.Column("file_time", sa.DateTime))
    op.create_table(
        "imports",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
        sa.Column("image_id", Number, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_imports"),
    )
