"""The platform's tables as statements see them. What creates them is `amanat.schema`, and a test holds the two equal.

`metadata` holds what every service has; `agency_metadata` what the three outside agencies have besides.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()
agency_metadata = MetaData()

Instant = DateTime(timezone=True)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text),
    Column("tenant", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("referral", Text),
    Column("seq", BigInteger),
    Column("category", Text),
    Column("epoch", Integer),
    Column("created_at", Instant, nullable=False),
    Column("published_at", Instant),
    Column("cancelled_at", Instant),
    UniqueConstraint("tenant", "event_id"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("type", Text, nullable=False),
    Column("referral", Text),
    Column("received_at", Instant, nullable=False),
)

parked = Table(
    "parked",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("kafka_partition", Integer, nullable=False),
    Column("kafka_offset", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("referral", Text),
    Column("tenant", Text),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("parked_at", Instant, nullable=False),
    Column("retry_requested_at", Instant),
    Column("released_at", Instant),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("client", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hmac", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("location", Text),
    Column("created_at", Instant, nullable=False),
)

looks = Table(
    "looks",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("arrival", BigInteger, Identity(always=True), nullable=False),
    Column("referral", Text),
    Column("refused", LargeBinary),
    Column("subject", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("categories", ARRAY(Text), nullable=False),
    Column("at", Instant, nullable=False),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("transaction", BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text::bigint)")),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("said", JSONB, nullable=False),
    Column("source", Text),
    Column("commitment", LargeBinary, nullable=False),
    Column("salt_sealed", LargeBinary),
)

ledger_leaves = Table(
    "ledger_leaves",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", BigInteger, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),
)

ledger_nodes = Table(
    "ledger_nodes",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

ledger_checkpoints = Table(
    "ledger_checkpoints",
    metadata,
    Column("published_at", Instant, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("number", BigInteger, Identity(always=True), primary_key=True),
)

witnessed = Table(
    "witnessed",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("root", LargeBinary, primary_key=True),
    Column("note", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

witness_states = Table(
    "witness_states",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("size", BigInteger),
    Column("root", LargeBinary),
    Column("heard_at", Instant, nullable=False),
    Column("told_at", Instant),
    Column("stopped_at", Instant),
)

proof_parts = Table(
    "proof_parts",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("previous", BigInteger, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("hashes", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
)

cosignatures = Table(
    "cosignatures",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("root", LargeBinary, primary_key=True),
    Column("witness", Text, primary_key=True),
    Column("line", Text, nullable=False),
    Column("cosigned_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("judged_at", Instant),
)

ledger_alarms = Table(
    "ledger_alarms",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("origin", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("acknowledged_at", Instant),
    Column("acknowledged_by", Text),
    Column("reason", Text),
)

relay_lease = Table(
    "relay_lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Instant, nullable=False),
)

referrals = Table(
    "referrals",
    agency_metadata,
    Column("code", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("consent_version", BigInteger, nullable=False),
    Column("opened_version", BigInteger, nullable=False),
    Column("next_seq", BigInteger, nullable=False, server_default="1"),
    Column("version", BigInteger, nullable=False, server_default="1"),
    Column("arrival", BigInteger, Identity(always=True), nullable=False, unique=True),
)

disclosures = Table(
    "disclosures",
    agency_metadata,
    Column("tenant", Text, primary_key=True),
    Column("referral", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("key_id", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("contract", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
)

tombstones = Table(
    "tombstones",
    agency_metadata,
    Column("tenant", Text, primary_key=True),
    Column("referral", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("consent_version", BigInteger, nullable=False),
    Column("withdrawn_at", Instant, nullable=False),
    Column("applied_at", Instant, nullable=False),
)

kits = Table(
    "kits",
    agency_metadata,
    Column("tenant", Text, primary_key=True),
    Column("barcode", Text, primary_key=True),
    Column("referral", Text, nullable=False),
    Column("announced_at", Instant, nullable=False),
)

own_records = Table(
    "own_records",
    agency_metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("referral", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("recorded_by", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

untold_looks = Table(
    "untold_looks",
    agency_metadata,
    Column("tenant", Text, primary_key=True),
    Column("look_id", Uuid, primary_key=True),
)
