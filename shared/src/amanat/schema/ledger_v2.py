"""What a ledger needs to be mended: stored nodes may be computed anew, and checkpoints stand in the order in which they
were published, whatever the clock said.
"""

from amanat.schema import Operations, background_role, grant

_CHECKPOINTS = (
    "ALTER TABLE ledger_checkpoints DROP CONSTRAINT ledger_checkpoints_pkey",
    "ALTER TABLE ledger_checkpoints ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
)


def mend_ledger(op: Operations, db: str) -> None:
    """Numbers the checkpoints of database `db`, and lets its background role write nodes anew: no signature ever
    rests on a stored node."""
    for statement in _CHECKPOINTS:
        op.execute(statement)
    grant(op, "ledger_nodes", background_role(db), "UPDATE (hash), DELETE")
