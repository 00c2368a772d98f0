"""The platform's tables, and what every agency keeps of a referral.

Revision ID: 0001
Revises:
"""

from alembic import op

from amanat.schema.agency_v1 import create_agency
from amanat.schema.v1 import create_platform

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform(op, "legal_aid", "worker")
    create_agency(op, "legal_aid")
