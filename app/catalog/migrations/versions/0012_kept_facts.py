"""A picture in the trash keeps what preparing it found out, as its previews are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trash", sa.Column("taken_at", sa.DateTime))
    op.add_column("trash", sa.Column("camera", sa.Text))
    op.add_column("trash", sa.Column("captions", sa.JSON))
    op.add_column("trash", sa.Column("prepared", sa.Boolean, nullable=False, server_default=sa.false()))
