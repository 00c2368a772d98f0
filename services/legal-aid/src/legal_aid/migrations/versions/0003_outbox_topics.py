"""What `main` may put into the outbox, and what of it it may take back.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from amanat.schema.v2 import narrow_outbox

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    narrow_outbox(op, "legal_aid")


def downgrade() -> None:
    raise RuntimeError("a guard is not taken down: restore a backup instead")
