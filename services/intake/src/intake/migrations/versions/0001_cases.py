"""Cases, consents, referrals, keys, custody, clocks.

Revision ID: 0001
Revises:
"""

from alembic import op

from amanat.schema import background_table, tenant_table
from amanat.schema.v1 import create_platform

revision = "0001"
down_revision = None

TABLES = (
    """CREATE TABLE cases (
        code text PRIMARY KEY,
        tenant text NOT NULL,
        opened_at timestamptz NOT NULL,
        presented_at timestamptz,
        version bigint NOT NULL DEFAULT 1
    )""",
    """CREATE TABLE case_index (
        tenant text NOT NULL,
        field text NOT NULL,
        digest bytea NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        PRIMARY KEY (tenant, field, digest, case_code)
    )""",
    "CREATE INDEX case_index_case ON case_index (tenant, case_code)",
    """CREATE TABLE records (
        id uuid PRIMARY KEY,
        position bigint GENERATED ALWAYS AS IDENTITY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        kind text NOT NULL,
        author_agency text NOT NULL,
        author_organisation text NOT NULL,
        referral text,
        categories text[] NOT NULL,
        sealed bytea NOT NULL,
        recorded_at timestamptz NOT NULL,
        corrects uuid UNIQUE REFERENCES records,
        reason_sealed bytea
    )""",
    "CREATE INDEX records_case ON records (tenant, case_code, position)",
    """CREATE TABLE consent_events (
        id uuid PRIMARY KEY,
        position bigint GENERATED ALWAYS AS IDENTITY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        kind text NOT NULL CHECK (kind IN ('given', 'withdrawn', 'guardian_excluded')),
        sealed bytea NOT NULL,
        recorded_at timestamptz NOT NULL
    )""",
    "CREATE INDEX consent_events_case ON consent_events (tenant, case_code, position)",
    """CREATE TABLE referrals (
        code text PRIMARY KEY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        agency text NOT NULL,
        organisation text NOT NULL,
        purpose text NOT NULL,
        state text NOT NULL CHECK (state IN ('waiting_for_consent', 'open', 'closed')),
        progress text NOT NULL,
        consent_version bigint NOT NULL DEFAULT 0,
        next_seq bigint NOT NULL DEFAULT 1,
        requested_at timestamptz NOT NULL,
        opened_at timestamptz,
        reminded_at timestamptz,
        epoch_floor integer NOT NULL DEFAULT 0,
        UNIQUE (tenant, case_code, agency, organisation)
    )""",
    "CREATE INDEX referrals_silent ON referrals (opened_at)"
    " WHERE state = 'open' AND progress = 'sent' AND reminded_at IS NULL",
    """CREATE TABLE shares (
        tenant text NOT NULL,
        referral text NOT NULL REFERENCES referrals,
        category text NOT NULL,
        epoch integer NOT NULL,
        opened_at timestamptz NOT NULL,
        until timestamptz,
        ended_at timestamptz,
        closed_no_later_than timestamptz,
        confirmed_at timestamptz,
        PRIMARY KEY (referral, category, epoch)
    )""",
    "CREATE UNIQUE INDEX shares_open ON shares (referral, category) WHERE ended_at IS NULL",
    "CREATE INDEX shares_ending ON shares (until) WHERE ended_at IS NULL AND until IS NOT NULL",
    """CREATE TABLE request_secrets (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        generation integer NOT NULL,
        sealed bytea NOT NULL
    )""",
    "CREATE INDEX request_secrets_generation ON request_secrets (generation)",
    """CREATE TABLE keys (
        key_id uuid PRIMARY KEY,
        tenant text NOT NULL,
        referral text NOT NULL REFERENCES referrals,
        category text NOT NULL,
        epoch integer NOT NULL,
        seq bigint NOT NULL,
        secret_id uuid NOT NULL REFERENCES request_secrets,
        wrap bytea NOT NULL,
        created_at timestamptz NOT NULL
    )""",
    "CREATE INDEX keys_share ON keys (referral, category, epoch)",
    "CREATE INDEX keys_secret ON keys (secret_id)",
    """CREATE TABLE leases (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        referral text NOT NULL REFERENCES referrals,
        client text NOT NULL,
        token_id text NOT NULL,
        categories text[] NOT NULL,
        consent_version bigint NOT NULL,
        at timestamptz NOT NULL
    )""",
    "CREATE INDEX leases_referral ON leases (tenant, referral, at)",
    """CREATE TABLE kits (
        tenant text NOT NULL,
        barcode text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        opened_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, barcode)
    )""",
    "CREATE INDEX kits_case ON kits (tenant, case_code)",
    """CREATE TABLE custody_halves (
        id uuid PRIMARY KEY,
        position bigint GENERATED ALWAYS AS IDENTITY,
        tenant text NOT NULL,
        barcode text NOT NULL,
        half text NOT NULL CHECK (half IN ('release', 'receipt')),
        holder_agency text NOT NULL,
        holder_organisation text NOT NULL,
        counterpart_agency text NOT NULL,
        counterpart_organisation text NOT NULL,
        sealed bytea NOT NULL,
        recorded_at timestamptz NOT NULL,
        FOREIGN KEY (tenant, barcode) REFERENCES kits
    )""",
    "CREATE INDEX custody_halves_kit ON custody_halves (tenant, barcode, position)",
    """CREATE TABLE custody_matches (
        tenant text NOT NULL,
        release_id uuid PRIMARY KEY REFERENCES custody_halves,
        receipt_id uuid NOT NULL UNIQUE REFERENCES custody_halves,
        matched_at timestamptz NOT NULL
    )""",
    """CREATE TABLE clocks (
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        kind text NOT NULL,
        trigger_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        source text NOT NULL,
        met_at timestamptz,
        overdue_noted_at timestamptz,
        PRIMARY KEY (case_code, kind)
    )""",
    "CREATE INDEX clocks_due ON clocks (due_at) WHERE met_at IS NULL AND overdue_noted_at IS NULL",
    """CREATE TABLE timeline (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        at timestamptz NOT NULL,
        kind text NOT NULL,
        agency text,
        organisation text,
        referral text,
        detail jsonb NOT NULL
    )""",
    "CREATE INDEX timeline_case ON timeline (tenant, case_code, position)",
    """CREATE TABLE rotations (
        generation integer PRIMARY KEY,
        began_at timestamptz NOT NULL,
        ended_at timestamptz
    )""",
    # While one is not reopened, the gate leases nothing.
    """CREATE TABLE restorations (
        request_id uuid PRIMARY KEY,
        restored_at timestamptz NOT NULL,
        reopened_at timestamptz,
        without text[] NOT NULL DEFAULT '{}'
    )""",
    "CREATE UNIQUE INDEX restorations_open ON restorations ((reopened_at IS NULL)) WHERE reopened_at IS NULL",
    """CREATE TABLE restoration_answers (
        request_id uuid NOT NULL REFERENCES restorations,
        agency text NOT NULL,
        answered_at timestamptz NOT NULL,
        tombstones integer NOT NULL,
        applied integer NOT NULL,
        PRIMARY KEY (request_id, agency)
    )""",
)

# The gate's own, of no cell.
GATE_GRANTS = {
    "rotations": "SELECT, INSERT, UPDATE (ended_at)",
    "restorations": "SELECT, INSERT, UPDATE (reopened_at, without)",
    "restoration_answers": "SELECT, INSERT, UPDATE (answered_at, tombstones, applied)",
}

# {table: (main, gate)}. History has no UPDATE and no DELETE: it is appended to.
GRANTS = {
    "cases": ("SELECT, INSERT, UPDATE (version)", "SELECT, UPDATE (version)"),
    "case_index": ("SELECT, INSERT", "SELECT"),
    "records": ("SELECT, INSERT", "SELECT, INSERT"),
    "consent_events": ("SELECT, INSERT", "SELECT, INSERT"),
    "referrals": (
        "SELECT, INSERT, UPDATE (state, consent_version, next_seq, opened_at)",
        "SELECT, UPDATE (state, progress, consent_version, next_seq, opened_at, reminded_at, epoch_floor)",
    ),
    "shares": (
        "SELECT, INSERT, UPDATE (until, ended_at, closed_no_later_than)",
        "SELECT, INSERT, UPDATE (until, ended_at, closed_no_later_than, confirmed_at)",
    ),
    "request_secrets": ("INSERT", "SELECT, INSERT, DELETE"),
    # main seals and destroys; what it wraps it cannot read back.
    "keys": (
        "SELECT (key_id, tenant, referral, category, epoch, seq, secret_id, created_at), INSERT, DELETE",
        "SELECT, INSERT, UPDATE (secret_id, wrap), DELETE",
    ),
    "leases": ("SELECT", "SELECT, INSERT"),
    "kits": ("SELECT, INSERT", "SELECT"),
    "custody_halves": ("SELECT, INSERT", "SELECT, INSERT"),
    "custody_matches": ("SELECT, INSERT", "SELECT, INSERT"),
    "clocks": ("SELECT, INSERT, UPDATE (met_at)", "SELECT, INSERT, UPDATE (met_at, overdue_noted_at)"),
    "timeline": ("SELECT, INSERT", "SELECT, INSERT"),
}


def upgrade() -> None:
    create_platform(op, "intake", "gate")
    for statement in TABLES:
        op.execute(statement)
    for table, (main, gate) in GRANTS.items():
        tenant_table(op, table, "intake", main, gate, background_all=True)
    for table, gate in GATE_GRANTS.items():
        background_table(op, table, "intake", gate)


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
