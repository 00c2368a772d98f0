"""The tables of the Merkle tree over `ledger_entries`, of checkpoints and of what a service witnesses of others.

The background role alone writes them. The HTTP role reads what proofs are made of: hashes, sizes and signatures.
"""

from amanat.schema import Operations, api_role, background_table

_TABLES = (
    """CREATE TABLE ledger_leaves (
        position bigint PRIMARY KEY,
        entry bigint NOT NULL UNIQUE,
        hash bytea NOT NULL
    )""",
    """CREATE TABLE ledger_nodes (
        level smallint NOT NULL,
        position bigint NOT NULL,
        hash bytea NOT NULL,
        PRIMARY KEY (level, position)
    )""",
    """CREATE TABLE ledger_checkpoints (
        published_at timestamptz PRIMARY KEY,
        size bigint NOT NULL,
        root bytea NOT NULL,
        note text NOT NULL
    )""",
    "CREATE INDEX ledger_checkpoints_size ON ledger_checkpoints (size)",
    """CREATE TABLE witnessed (
        origin text NOT NULL,
        size bigint NOT NULL,
        root bytea NOT NULL,
        note text NOT NULL,
        seen_at timestamptz NOT NULL,
        PRIMARY KEY (origin, size, root)
    )""",
    """CREATE TABLE witness_states (
        origin text PRIMARY KEY,
        size bigint,
        root bytea,
        heard_at timestamptz NOT NULL,
        told_at timestamptz,
        stopped_at timestamptz
    )""",
    """CREATE TABLE proof_parts (
        origin text NOT NULL,
        previous bigint NOT NULL,
        size bigint NOT NULL,
        part smallint NOT NULL,
        hashes bytea NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (origin, previous, size, part)
    )""",
    """CREATE TABLE cosignatures (
        origin text NOT NULL,
        size bigint NOT NULL,
        root bytea NOT NULL,
        witness text NOT NULL,
        line text NOT NULL,
        cosigned_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL,
        judged_at timestamptz,
        PRIMARY KEY (origin, size, root, witness)
    )""",
    "CREATE INDEX cosignatures_unjudged ON cosignatures (received_at) WHERE judged_at IS NULL",
    """CREATE TABLE ledger_alarms (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        origin text NOT NULL,
        kind text NOT NULL,
        detail jsonb NOT NULL,
        raised_at timestamptz NOT NULL,
        ended_at timestamptz,
        acknowledged_at timestamptz,
        acknowledged_by text,
        reason text
    )""",
    "CREATE UNIQUE INDEX ledger_alarms_open ON ledger_alarms (origin, kind, md5(detail::text))"
    " WHERE ended_at IS NULL AND acknowledged_at IS NULL",
)
_GRANTS = {
    "ledger_leaves": "SELECT, INSERT",
    "ledger_nodes": "SELECT, INSERT",
    "ledger_checkpoints": "SELECT, INSERT",
    "witnessed": "SELECT, INSERT, UPDATE (seen_at)",
    "witness_states": "SELECT, INSERT, UPDATE",
    "proof_parts": "SELECT, INSERT, DELETE",
    "cosignatures": "SELECT, INSERT, UPDATE (line, cosigned_at, judged_at)",
    "ledger_alarms": "SELECT, INSERT (origin, kind, detail, raised_at),"
    " UPDATE (ended_at, acknowledged_at, acknowledged_by, reason)",
}
_PUBLISHED = ("ledger_leaves", "ledger_nodes", "ledger_checkpoints", "cosignatures")


def create_ledger(op: Operations, db: str) -> None:
    """Creates and protects the tree's and the witness's tables in database `db`."""
    for statement in _TABLES:
        op.execute(statement)
    for table, grants in _GRANTS.items():
        background_table(op, table, db, grants)
    for table in _PUBLISHED:
        op.execute(f"CREATE POLICY published ON {table} FOR SELECT TO {api_role(db)} USING (true)")
        op.execute(f"GRANT SELECT ON {table} TO {api_role(db)}")
