"""The ledger's tree, its checkpoints, and what this service witnesses of others.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

from amanat.schema.ledger_v1 import create_ledger

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_ledger(op, "forensics")


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
