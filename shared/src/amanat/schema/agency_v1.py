"""The tables of an outside agency, first version: referrals, sealed disclosures, tombstones, kits, its own records, and
which looks the gate is still to be told of."""

from amanat.schema import Operations, tenant_table

_TABLES = (
    """CREATE TABLE referrals (
        code text PRIMARY KEY,
        tenant text NOT NULL,
        purpose text NOT NULL,
        state text NOT NULL,
        opened_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL,
        consent_version bigint NOT NULL,
        opened_version bigint NOT NULL,
        next_seq bigint NOT NULL DEFAULT 1,
        version bigint NOT NULL DEFAULT 1,
        arrival bigint GENERATED ALWAYS AS IDENTITY UNIQUE
    )""",
    "CREATE INDEX referrals_feed ON referrals (tenant, arrival)",
    """CREATE TABLE disclosures (
        tenant text NOT NULL,
        referral text NOT NULL,
        category text NOT NULL,
        epoch integer NOT NULL,
        key_id uuid NOT NULL,
        seq bigint NOT NULL,
        event_id uuid NOT NULL,
        contract text NOT NULL,
        sealed bytea NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, referral, category)
    )""",
    """CREATE TABLE tombstones (
        tenant text NOT NULL,
        referral text NOT NULL,
        category text NOT NULL,
        epoch integer NOT NULL,
        consent_version bigint NOT NULL,
        withdrawn_at timestamptz NOT NULL,
        applied_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, referral, category)
    )""",
    """CREATE TABLE kits (
        tenant text NOT NULL,
        barcode text NOT NULL,
        referral text NOT NULL,
        announced_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, barcode)
    )""",
    "CREATE INDEX kits_referral ON kits (tenant, referral)",
    """CREATE TABLE own_records (
        tenant text NOT NULL,
        id uuid NOT NULL,
        referral text NOT NULL,
        kind text NOT NULL,
        sealed bytea NOT NULL,
        recorded_at timestamptz NOT NULL,
        recorded_by text NOT NULL,
        seq bigint NOT NULL,
        PRIMARY KEY (tenant, id)
    )""",
    "CREATE INDEX own_records_referral ON own_records (tenant, referral, seq)",
    """CREATE TABLE untold_looks (
        tenant text NOT NULL,
        look_id uuid NOT NULL,
        PRIMARY KEY (tenant, look_id)
    )""",
)


def create_agency(op: Operations, db: str) -> None:
    """Creates and protects an agency's tables in database `db`; the platform's are made by `create_platform`.

    The api role receives nothing and withdraws nothing: referrals, disclosures, tombstones and kits are written by
    the worker alone, which sets the tenant from each event's organisation and crosses tenants on tombstones only.
    """
    for statement in _TABLES:
        op.execute(statement)
    tenant_table(
        op,
        "referrals",
        db,
        "SELECT, UPDATE (state, next_seq, version)",
        "SELECT, INSERT, UPDATE",
    )
    tenant_table(op, "disclosures", db, "SELECT", "SELECT, INSERT, UPDATE, DELETE")
    tenant_table(op, "tombstones", db, "SELECT", "SELECT, INSERT, UPDATE", background_all=True)
    tenant_table(op, "kits", db, "SELECT", "SELECT, INSERT, UPDATE")
    tenant_table(op, "own_records", db, "SELECT, INSERT", "SELECT")
    # What the api role wrote here it cannot take back: to tell of a look is the worker's alone.
    tenant_table(op, "untold_looks", db, "INSERT", "SELECT, DELETE")
