"""A ledger's stored nodes may be computed anew, and its checkpoints are numbered.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

from amanat.schema.ledger_v2 import mend_ledger

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    mend_ledger(op, "intake")


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
