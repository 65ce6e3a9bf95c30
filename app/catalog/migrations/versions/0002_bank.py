"""Embedding spaces keep the vectors of their neutral texts, which relevance is measured against."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("spaces") as spaces:
        spaces.add_column(sa.Column("bank", sa.LargeBinary))
        spaces.add_column(sa.Column("bank_texts", sa.String(64)))
