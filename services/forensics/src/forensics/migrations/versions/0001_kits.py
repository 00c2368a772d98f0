"""The platform's tables, what every agency keeps of a referral, and parcels that no kit explains yet.

Revision ID: 0001
Revises:
"""

from alembic import op

from amanat.schema import grant, tenant_table
from amanat.schema.agency_v1 import create_agency
from amanat.schema.v1 import create_platform

revision = "0001"
down_revision = None

PARCELS = """CREATE TABLE parcels (
    tenant text NOT NULL,
    id uuid NOT NULL,
    barcode text NOT NULL,
    sealed bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    recorded_by text NOT NULL,
    matched_at timestamptz,
    PRIMARY KEY (tenant, id)
)"""


def upgrade() -> None:
    create_platform(op, "forensics", "worker")
    create_agency(op, "forensics")
    op.execute(PARCELS)
    op.execute("CREATE INDEX parcels_unmatched ON parcels (tenant, barcode) WHERE matched_at IS NULL")
    tenant_table(op, "parcels", "forensics", "SELECT, INSERT", "SELECT, UPDATE (matched_at)")
    # A parcel becomes the laboratory's own record when the worker hears of its kit.
    grant(op, "own_records", "forensics_worker", "INSERT")
