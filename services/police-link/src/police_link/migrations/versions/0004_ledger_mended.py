"""A ledger's stored nodes may be computed anew, and its checkpoints are numbered.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

from amanat.schema.ledger_v2 import mend_ledger

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    mend_ledger(op, "police_link")


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
