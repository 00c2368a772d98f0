"""Rows as a table within a statement: one array for each column, so that one statement does for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, TableValuedAlias, bindparam, column, func
from sqlalchemy.types import TypeEngine


def unnested(name: str, kinds: Mapping[str, TypeEngine[Any]], rows: Sequence[Sequence[Any]]) -> TableValuedAlias:
    """A table `name` of these rows, each in the order of `kinds`, with its number from 1 on as `place`.

    No column is an array itself: PostgreSQL would unnest that, too.
    """
    sent = [
        bindparam(f"{name}_{each}", [row[number] for row in rows], type_=ARRAY(kind))
        for number, (each, kind) in enumerate(kinds.items())
    ]
    columns = [column(each, kind) for each, kind in kinds.items()]
    return func.unnest(*sent).table_valued(*columns, with_ordinality="place").render_derived(name=name)
