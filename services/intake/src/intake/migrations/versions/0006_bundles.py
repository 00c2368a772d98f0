"""Court bundles: which was made, of which case, for whom, on what basis. The bundles themselves are made anew.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

from amanat.schema import tenant_table

revision = "0006"
down_revision = "0005"

# `sealed`: reference, recipient, and what the bundle was made of besides the case's own rows. `manifest`: SHA-256.
BUNDLES = (
    """CREATE TABLE bundles (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        asked_by text NOT NULL,
        client text NOT NULL,
        token_id text NOT NULL,
        basis text NOT NULL CHECK (basis IN ('court_order', 'consent', 'statutory_duty')),
        with_looks boolean NOT NULL CHECK (NOT with_looks OR basis = 'court_order'),
        manifest bytea NOT NULL,
        sealed bytea NOT NULL,
        pdf_sealed bytea,
        at timestamptz NOT NULL
    )""",
    "CREATE INDEX bundles_case ON bundles (tenant, case_code, at)",
)


def upgrade() -> None:
    for statement in BUNDLES:
        op.execute(statement)
    # The gate reads them to audit its ledger.
    tenant_table(op, "bundles", "intake", "SELECT, INSERT", "SELECT", background_all=True)


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
