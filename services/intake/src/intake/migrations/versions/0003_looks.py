"""The looks that agencies tell of, and which leases they account for.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from amanat.schema import background_role, grant, tenant_table

revision = "0003"
down_revision = "0002"

# `id` is the gate's own: an agency chooses its look's, and must not be able to take another's place by it.
LOOKS = (
    """CREATE TABLE agency_looks (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        referral text NOT NULL REFERENCES referrals,
        look_id uuid NOT NULL,
        at timestamptz NOT NULL,
        categories text[] NOT NULL,
        purpose text NOT NULL,
        received_at timestamptz NOT NULL,
        UNIQUE (tenant, referral, look_id)
    )""",
    "CREATE INDEX agency_looks_case ON agency_looks (tenant, case_code)",
    "CREATE INDEX agency_looks_referral ON agency_looks (tenant, referral, at)",
)
# Leases of before count as accounted for: nobody was asked to tell of their looks.
LEASES = (
    "ALTER TABLE leases ADD COLUMN accounted_at timestamptz DEFAULT now(), ADD COLUMN alarmed_at timestamptz",
    "ALTER TABLE leases ALTER COLUMN accounted_at DROP DEFAULT",
    "CREATE INDEX leases_unaccounted ON leases (at) WHERE accounted_at IS NULL AND alarmed_at IS NULL",
)


def upgrade() -> None:
    for statement in (*LOOKS, *LEASES):
        op.execute(statement)
    tenant_table(op, "agency_looks", "intake", "SELECT", "SELECT, INSERT", background_all=True)
    grant(op, "leases", background_role("intake"), "UPDATE (accounted_at, alarmed_at)")


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
