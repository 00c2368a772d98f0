"""A ledger's stored nodes may be computed anew, and its checkpoints are numbered.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from amanat.schema.ledger_v2 import mend_ledger

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    mend_ledger(op, "legal_aid")


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
