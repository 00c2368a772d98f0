"""A subquery that joins a table anew which stands around it asks of any row what was meant of one.

SQLAlchemy correlates with the SELECT right around a subquery and no further: two deep, `FROM tombstones, referrals`
says "some referral" where the code reads "this one". No statement here is meant to join by a comma; each is looked at.
"""

from __future__ import annotations

import re
from typing import Any

_BY_COMMA = re.compile(r"\bFROM (?:\w+(?: AS \w+)?, )+\w+\b(?!\()")


class JoinedAnew(AssertionError):
    """The statement joins two tables by a comma."""


def check(statement: str) -> None:
    """Raises JoinedAnew."""
    found = _BY_COMMA.search(statement)
    if found is not None:
        raise JoinedAnew(f"{found[0]}: correlate the subquery with what stands around it\n{statement}")


def before_cursor_execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    """For SQLAlchemy's event of that name."""
    check(statement)
