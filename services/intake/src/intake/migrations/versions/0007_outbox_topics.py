"""What `main` may put into the outbox, and what of it it may take back.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

from amanat.schema.v2 import narrow_outbox

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    narrow_outbox(op, "intake")


def downgrade() -> None:
    raise RuntimeError("a guard is not taken down: restore a backup instead")
