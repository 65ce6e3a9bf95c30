"""Another model is filled beside the one that serves; spaces tell what their model is loaded from."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("spaces") as spaces:
        spaces.add_column(sa.Column("source", sa.Text))
    switching = op.create_table(
        "switching",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("setting", sa.Text),
        sa.Column("chosen", sa.Text),
        sa.Column("wanted", sa.Text),
        sa.Column("filling_id", sa.Integer),
        sa.Column("after_seq", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("previous_id", sa.Integer),
        sa.Column("failure", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_switching"),
        sa.ForeignKeyConstraint(["filling_id"], ["spaces.id"], name="fk_switching_filling_id_spaces"),
        sa.ForeignKeyConstraint(["previous_id"], ["spaces.id"], name="fk_switching_previous_id_spaces"),
    )
    op.bulk_insert(switching, [{"id": 1}])
