"""What is asked for by dates, formats and cameras is looked up instead of searched for."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = ("format", "added_at", "taken_at", "camera")


def upgrade() -> None:
    for column in COLUMNS:
        op.create_index(f"ix_images_{column}", "images", [column])
