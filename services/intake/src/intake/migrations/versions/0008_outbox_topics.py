"""What `main` may put into the outbox, and what of it it may take back.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

from amanat.schema.v2 import narrow_outbox

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    narrow_outbox(op, "intake")


def downgrade() -> None:
    raise RuntimeError("a guard is not taken down: restore a backup instead")
