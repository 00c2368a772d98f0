"""What `main` may put into the outbox, and what of it it may take back.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

from amanat.schema.v2 import narrow_outbox

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    narrow_outbox(op, "legal_aid")


def downgrade() -> None:
    raise RuntimeError("a guard is not taken down: restore a backup instead")
