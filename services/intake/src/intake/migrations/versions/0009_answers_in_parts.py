"""An agency's tombstones come in pieces: a row is one piece of one answer.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"

# Row-level security hides the rows from the migrator itself: defaults give each answer that is there its id.
PARTS = (
    """ALTER TABLE restoration_answers
        ADD COLUMN answer_id uuid NOT NULL DEFAULT gen_random_uuid(),
        ADD COLUMN part integer NOT NULL DEFAULT 1,
        ADD COLUMN parts integer NOT NULL DEFAULT 1,
        ADD CHECK (part BETWEEN 1 AND parts),
        DROP CONSTRAINT restoration_answers_pkey,
        ADD PRIMARY KEY (request_id, agency, answer_id, part)""",
    """ALTER TABLE restoration_answers
        ALTER COLUMN answer_id DROP DEFAULT, ALTER COLUMN part DROP DEFAULT, ALTER COLUMN parts DROP DEFAULT""",
)


def upgrade() -> None:
    for statement in PARTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
