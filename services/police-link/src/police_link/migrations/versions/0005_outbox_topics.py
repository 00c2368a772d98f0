"""What `main` may put into the outbox, and what of it it may take back.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

from amanat.schema.v2 import narrow_outbox

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    narrow_outbox(op, "police_link")


def downgrade() -> None:
    raise RuntimeError("a guard is not taken down: restore a backup instead")
