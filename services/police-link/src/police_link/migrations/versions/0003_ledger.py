"""The ledger's tree, its checkpoints, and what this service witnesses of others.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from amanat.schema.ledger_v1 import create_ledger

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_ledger(op, "police_link")


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
