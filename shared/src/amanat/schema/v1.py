"""The platform's tables, first version: outbox, inbox, parked events, idempotency, looks, ledger, the relay's lease.

A service's first revision calls `create_platform`. A unique key that a tenant can write starts with the tenant, or a
conflict would tell of a row that row-level security hides.
"""

from amanat.schema import Operations, api_role, background_role, background_table, tenant_table

_WRITTEN = "INSERT (tenant, kind, subject, at, said, source, commitment, salt_sealed)"
"""Of an entry: its number and its transaction are PostgreSQL's to give, for the sequencer goes by them."""
_TABLES = (
    """CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id uuid NOT NULL,
        topic text NOT NULL,
        key text,
        tenant text NOT NULL,
        type text NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        referral text,
        seq bigint,
        category text,
        epoch integer,
        created_at timestamptz NOT NULL,
        published_at timestamptz,
        cancelled_at timestamptz,
        UNIQUE (tenant, event_id)
    )""",
    "CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL AND cancelled_at IS NULL",
    "CREATE INDEX outbox_disclosed ON outbox (referral, category, epoch) WHERE category IS NOT NULL",
    "CREATE INDEX outbox_news ON outbox (referral) WHERE published_at IS NULL AND cancelled_at IS NULL",
    "CREATE INDEX outbox_created ON outbox (created_at)",
    """CREATE TABLE inbox (
        event_id uuid PRIMARY KEY,
        type text NOT NULL,
        referral text,
        received_at timestamptz NOT NULL
    )""",
    "CREATE INDEX inbox_received ON inbox (received_at)",
    """CREATE TABLE parked (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        topic text NOT NULL,
        kafka_partition integer NOT NULL,
        kafka_offset bigint NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        type text NOT NULL,
        referral text,
        tenant text,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        reason text NOT NULL,
        parked_at timestamptz NOT NULL,
        retry_requested_at timestamptz,
        released_at timestamptz
    )""",
    "CREATE INDEX parked_unreleased ON parked (referral, topic, id) WHERE released_at IS NULL",
    """CREATE TABLE idempotency (
        tenant text NOT NULL,
        client text NOT NULL,
        key text NOT NULL,
        body_hmac bytea NOT NULL,
        status integer,
        location text,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, client, key)
    )""",
    """CREATE TABLE looks (
        tenant text NOT NULL,
        id uuid NOT NULL,
        arrival bigint GENERATED ALWAYS AS IDENTITY,
        referral text,
        refused bytea,
        subject text NOT NULL,
        client text NOT NULL,
        token_id text NOT NULL,
        purpose text NOT NULL,
        categories text[] NOT NULL,
        at timestamptz NOT NULL,
        PRIMARY KEY (tenant, id),
        CHECK ((referral IS NULL) <> (refused IS NULL))
    )""",
    "CREATE INDEX looks_referral ON looks (tenant, referral, at)",
    """CREATE TABLE ledger_entries (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        transaction bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
        tenant text NOT NULL,
        kind text NOT NULL,
        subject text NOT NULL,
        at timestamptz NOT NULL,
        said jsonb NOT NULL,
        source text,
        commitment bytea NOT NULL,
        salt_sealed bytea
    )""",
    "CREATE INDEX ledger_entries_order ON ledger_entries (transaction, id)",
    "CREATE INDEX ledger_entries_subject ON ledger_entries (tenant, subject)",
    """CREATE TABLE relay_lease (
        name text PRIMARY KEY,
        holder text NOT NULL,
        until timestamptz NOT NULL
    )""",
)


def create_platform(op: Operations, db: str, background: str) -> None:
    """Creates and protects the platform's tables in database `db`.

    `background` is "worker" at the agencies and "gate" at intake, whose gate crosses tenants on every table.
    Looks and the ledger are append-only by privilege: nobody but the owner's migrations may change or delete a row,
    save that the background role may take an entry's salt away. To order the ledger it reads entries of all tenants.
    Raises ValueError when `background` is not what the database's roles are.
    """
    if background_role(db) != f"{db}_{background}":
        raise ValueError("the background role is 'gate' at intake and 'worker' elsewhere")
    gate = background == "gate"
    for statement in _TABLES:
        op.execute(statement)
    tenant_table(
        op,
        "outbox",
        db,
        "SELECT, INSERT, UPDATE (cancelled_at)",
        "SELECT, INSERT, UPDATE (published_at, cancelled_at), DELETE",
        background_all=True,
    )
    # A tombstone is never taken back, by whoever takes over `main` neither.
    op.execute(
        f"CREATE POLICY tombstones_stay ON outbox AS RESTRICTIVE FOR UPDATE TO {api_role(db)}"
        " USING (type <> 'pk.amanat.category-withdrawn.v1')"
    )
    background_table(op, "inbox", db, "SELECT, INSERT, DELETE")
    background_table(op, "parked", db, "SELECT, INSERT, UPDATE (reason, retry_requested_at, released_at), DELETE")
    background_table(op, "relay_lease", db, "SELECT, INSERT, UPDATE, DELETE")
    tenant_table(op, "idempotency", db, "SELECT, INSERT, UPDATE, DELETE", "SELECT, DELETE", background_all=gate)
    tenant_table(op, "looks", db, "SELECT, INSERT", "SELECT, INSERT", background_all=gate)
    tenant_table(
        op,
        "ledger_entries",
        db,
        f"SELECT, {_WRITTEN}",
        f"SELECT, {_WRITTEN}, UPDATE (salt_sealed)",
        background_all=gate,
    )
    # Erasing an entry takes its salt away; no other salt can ever be put in its place.
    op.execute(
        "CREATE POLICY erasing ON ledger_entries AS RESTRICTIVE FOR UPDATE"
        f" TO {background_role(db)} WITH CHECK (salt_sealed IS NULL)"
    )
    if not gate:
        op.execute(f"CREATE POLICY sequencer ON ledger_entries FOR SELECT TO {background_role(db)} USING (true)")
