"""The gate audits claims: whose page each opens, and by which hashes.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

from amanat.schema import background_role, grant

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    # Not the sealed code: an audit has no use for it. The hashes stand on a pepper that the gate does not have.
    columns = ("language", "pin_hash", "duress_hash", "code_word_hash", "issued_at")
    grant(op, "claims", background_role("intake"), f"SELECT ({', '.join(columns)})")


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
