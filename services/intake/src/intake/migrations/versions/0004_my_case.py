"""The survivor's own page: claims, sign-ins, what she took back from afar, and the calls that the cell owes her.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

from amanat.schema import across_tenants, api_role, background_role, grant, protect, tenant_table

revision = "0004"
down_revision = "0003"

CLAIM_POLICY = "digest = decode(NULLIF(current_setting('amanat.claim', true), ''), 'hex')"
"""Who signs in names no tenant: a transaction sees the rows of the one digest that it has set, and no others."""

TABLES = (
    """CREATE TABLE claims (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        digest bytea NOT NULL,
        code_sealed bytea NOT NULL,
        language text NOT NULL CHECK (language IN ('en', 'ur')),
        pin_hash text NOT NULL,
        duress_hash text NOT NULL,
        code_word_hash text NOT NULL,
        issued_at timestamptz NOT NULL,
        ended_at timestamptz,
        UNIQUE (tenant, digest)
    )""",
    "CREATE UNIQUE INDEX claims_live ON claims (tenant, case_code) WHERE ended_at IS NULL",
    "CREATE INDEX claims_digest ON claims (digest)",
    # Of known codes and of codes that never were alike, so without tenant and without a reference.
    """CREATE TABLE sign_ins (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        digest bytea NOT NULL,
        form bytea NOT NULL,
        at timestamptz NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('miss', 'hit', 'duress')),
        noted_at timestamptz
    )""",
    "CREATE INDEX sign_ins_digest ON sign_ins (digest, at)",
    "CREATE INDEX sign_ins_at ON sign_ins (at)",
    "CREATE INDEX sign_ins_duress ON sign_ins (at) WHERE outcome = 'duress' AND noted_at IS NULL",
    """CREATE TABLE calls (
        id uuid PRIMARY KEY,
        position bigint GENERATED ALWAYS AS IDENTITY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        claim uuid REFERENCES claims,
        reason text NOT NULL,
        at timestamptz NOT NULL,
        done_at timestamptz,
        done_by text
    )""",
    "CREATE INDEX calls_open ON calls (tenant, position) WHERE done_at IS NULL",
    """CREATE TABLE afar_withdrawals (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        call_id uuid NOT NULL REFERENCES calls,
        consent_id uuid NOT NULL,
        agency text NOT NULL,
        organisation text NOT NULL,
        categories text[] NOT NULL,
        at timestamptz NOT NULL,
        undone_at timestamptz
    )""",
    "CREATE INDEX afar_withdrawals_call ON afar_withdrawals (tenant, call_id)",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    api, gate = api_role("intake"), background_role("intake")
    # The gate has no use for a code or a hash: it notes duress on timelines.
    tenant_table(
        op, "claims", "intake", "SELECT, INSERT, UPDATE (ended_at)", "SELECT (id, tenant, case_code, digest)",
        background_all=True,
    )  # fmt: skip
    op.execute(f"CREATE POLICY claim ON claims FOR SELECT TO {api} USING ({CLAIM_POLICY})")
    protect(op, "sign_ins")
    op.execute(f"CREATE POLICY claim ON sign_ins TO {api} USING ({CLAIM_POLICY}) WITH CHECK ({CLAIM_POLICY})")
    across_tenants(op, "sign_ins", gate)
    grant(op, "sign_ins", api, "SELECT, INSERT, UPDATE (outcome)")
    grant(op, "sign_ins", gate, "SELECT, UPDATE (noted_at), DELETE")
    # The gate tells the cell to call when a court's secrecy has ended.
    tenant_table(
        op, "calls", "intake", "SELECT, INSERT, UPDATE (done_at, done_by)", "SELECT, INSERT", background_all=True
    )
    tenant_table(op, "afar_withdrawals", "intake", "SELECT, INSERT, UPDATE (undone_at)", "SELECT", background_all=True)


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
