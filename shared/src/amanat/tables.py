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
    Table,
    Text,
    UniqueConstraint,
    Uuid,
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
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("salt_sealed", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
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
