"""The law's clocks as rows of the case."""

from typing import Any

from amanat.clocks import Due


def as_clock(due: Due) -> dict[str, Any]:
    """The columns of one started clock; the source of its rule goes with it."""
    return {"kind": due.kind, "trigger_at": due.trigger_at, "due_at": due.due_at, "source": due.source}
