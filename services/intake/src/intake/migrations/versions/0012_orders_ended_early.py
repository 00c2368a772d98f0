"""Disclosures outside that ended before their time: who ended them, and why.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

from amanat.schema import tenant_table

revision = "0012"
down_revision = "0011"

ENDINGS = """CREATE TABLE outside_endings (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        disclosure uuid NOT NULL,
        reason_sealed bytea NOT NULL,
        subject text NOT NULL,
        client text NOT NULL,
        token_id text NOT NULL,
        unit text,
        ended_at timestamptz NOT NULL,
        UNIQUE (tenant, disclosure),
        FOREIGN KEY (tenant, disclosure) REFERENCES outside_disclosures (tenant, id)
    )"""


def upgrade() -> None:
    op.execute(ENDINGS)
    # The gate reads them to audit its ledger.
    tenant_table(op, "outside_endings", "intake", "SELECT, INSERT", "SELECT", background_all=True)


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
