"""Whether a form was sent before is asked of one code and one form: without an index of its own, every attempt reads
all earlier ones of its code, and who guesses makes each next guess dearer.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("CREATE INDEX sign_ins_form ON sign_ins (digest, form)")


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
