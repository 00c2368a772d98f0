"""The webhooks' tables. URL and secret are sealed at rest: either may let somebody in at the receiver's.

A delivery is queued while none of `delivered_at`, `gave_up_at` and `purged_at` is set; it is due at `next_attempt_at`,
which a claim moves on to the end of its lease, so that what a killed worker had in hand comes due again by itself. A
purged one is what a withdrawal took out of the queue: it says nothing but the code, and returns when something of the
same opening can be read after all.
"""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, LargeBinary, MetaData, Table, Text, Uuid, and_

metadata = MetaData()
Instant = DateTime(timezone=True)

PENDING, ACTIVE, PAUSED, FAILED = "pending", "active", "paused", "failed"

subscriptions = Table(
    "webhook_subscriptions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("client", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("url_sealed", LargeBinary, nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("verified_at", Instant),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("failing_since", Instant),
    Column("not_before", Instant),
    Column("paused_at", Instant),
    Column("paused_because", Text),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("subscription_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("referral", Text),
    Column("created_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", Instant, nullable=False),
    Column("claim", Uuid),
    Column("delivered_at", Instant),
    Column("gave_up_at", Instant),
    Column("purged_at", Instant),
    Column("last_reason", Text),
    Column("last_status", Integer),
)

QUEUED = and_(deliveries.c.delivered_at.is_(None), deliveries.c.gave_up_at.is_(None), deliveries.c.purged_at.is_(None))
