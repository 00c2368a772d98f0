"""No statement asks of any row what was meant of one."""

from __future__ import annotations

import joined_anew
import pytest
from sqlalchemy import event, exists, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Engine

from amanat.tables import disclosures, referrals, tombstones


def test_each_statement_of_the_tests_is_looked_at() -> None:
    assert event.contains(Engine, "before_cursor_execute", joined_anew.before_cursor_execute)


def test_a_subquery_two_deep_that_forgets_what_stands_around_it_is_found() -> None:
    of_it = tombstones.c.referral == referrals.c.code
    deep = exists().where(disclosures.c.referral == referrals.c.code, ~exists().where(of_it))
    with pytest.raises(joined_anew.JoinedAnew, match="FROM tombstones, referrals"):
        joined_anew.check(str(select(referrals.c.code).where(deep).compile(dialect=postgresql.dialect())))
    mended = exists().where(
        disclosures.c.referral == referrals.c.code, ~exists().where(of_it).correlate_except(tombstones)
    )
    joined_anew.check(str(select(referrals.c.code).where(mended).compile(dialect=postgresql.dialect())))


@pytest.mark.parametrize(
    "statement",
    ["SELECT a FROM unnest($1, $2) AS new (a, b)", "SELECT extract(epoch FROM at), code FROM cases",
     "SELECT a FROM one JOIN two ON true WHERE b IN (1, 2)"],
)  # fmt: skip
def test_other_commas_are_none(statement: str) -> None:
    joined_anew.check(statement)
