"""Webhooks: subscriptions and the queue of deliveries.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

from amanat.schema import tenant_table

revision = "0002"
down_revision = "0001"

TABLES = (
    """CREATE TABLE webhook_subscriptions (
        tenant text NOT NULL,
        id uuid NOT NULL,
        position bigint GENERATED ALWAYS AS IDENTITY,
        client text NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'active', 'paused', 'failed')),
        url_sealed bytea NOT NULL,
        secret_sealed bytea NOT NULL,
        created_at timestamptz NOT NULL,
        verified_at timestamptz,
        failures integer NOT NULL DEFAULT 0,
        failing_since timestamptz,
        not_before timestamptz,
        paused_at timestamptz,
        paused_because text CHECK (paused_because IN ('failing', 'gone')),
        PRIMARY KEY (tenant, id)
    )""",
    "CREATE INDEX webhook_subscriptions_list ON webhook_subscriptions (tenant, position)",
    """CREATE TABLE webhook_deliveries (
        tenant text NOT NULL,
        id uuid NOT NULL,
        subscription_id uuid NOT NULL,
        type text NOT NULL CHECK (type IN ('endpoint.verification', 'referral.opened')),
        referral text,
        created_at timestamptz NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz NOT NULL,
        claim uuid,
        delivered_at timestamptz,
        gave_up_at timestamptz,
        purged_at timestamptz,
        last_reason text,
        last_status integer,
        PRIMARY KEY (tenant, id),
        FOREIGN KEY (tenant, subscription_id) REFERENCES webhook_subscriptions ON DELETE CASCADE,
        CHECK ((type = 'referral.opened') = (referral IS NOT NULL))
    )""",
    "CREATE INDEX webhook_deliveries_queue ON webhook_deliveries (next_attempt_at)"
    " WHERE delivered_at IS NULL AND gave_up_at IS NULL AND purged_at IS NULL",
    "CREATE INDEX webhook_deliveries_subscription ON webhook_deliveries (tenant, subscription_id, created_at)",
    "CREATE INDEX webhook_deliveries_referral ON webhook_deliveries (tenant, referral)",
    "CREATE INDEX webhook_deliveries_created ON webhook_deliveries (created_at)",
)

_HEALTH = "state, failures, failing_since, not_before, paused_at, paused_because"


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    # The worker crosses tenants on the queue alone; secrets and addresses it sees tenant by tenant.
    tenant_table(
        op,
        "webhook_subscriptions",
        "police_link",
        f"SELECT, INSERT, DELETE, UPDATE ({_HEALTH})",
        f"SELECT, UPDATE ({_HEALTH}, verified_at)",
    )
    tenant_table(
        op,
        "webhook_deliveries",
        "police_link",
        "SELECT, INSERT, UPDATE (attempts, next_attempt_at, claim, delivered_at, gave_up_at)",
        "SELECT, INSERT, UPDATE, DELETE",
        background_all=True,
    )


def downgrade() -> None:
    raise RuntimeError("queued webhooks are not taken back: restore a backup instead")
