"""What migrations build tables with: row-level security that fails closed, and the roles' grants.

A published version (`v1`, `agency_v1`) never changes: a later need is a later version.
"""

import re
from collections.abc import Sequence
from typing import Protocol

TENANT_POLICY = "tenant = ANY (string_to_array(NULLIF(current_setting('amanat.tenants', true), ''), ','))"
"""Nothing set, or an empty string left behind by an earlier transaction: no row."""


class Operations(Protocol):
    """What is needed of Alembic's `op`."""

    def execute(self, sqltext: str, /) -> object: ...


def api_role(db: str) -> str:
    """The role of the database's HTTP process."""
    return f"{_named(db)}_api"


def background_role(db: str) -> str:
    """The role of the database's Kafka process: intake's is the gate."""
    return "intake_gate" if _named(db) == "intake" else f"{db}_worker"


def tenant_table(
    op: Operations,
    table: str,
    db: str,
    api_grants: str | Sequence[str],
    background_grants: str | Sequence[str],
    background_all: bool = False,
) -> None:
    """Protects a table that has a `tenant` column, already created: forced row-level security, policies, grants.

    Grants are privileges as SQL says them: "SELECT, INSERT" or ("SELECT", "UPDATE (state)"); empty for none.
    With `background_all` the background role crosses tenants by the policy named `background`; otherwise it sees
    only those that its transaction set, as the api role does.
    """
    api, background = api_role(db), background_role(db)
    protect(op, table)
    kept_to_tenants = api if background_all else f"{api}, {background}"
    op.execute(
        f"CREATE POLICY tenant ON {_named(table)} TO {kept_to_tenants}"
        f" USING ({TENANT_POLICY}) WITH CHECK ({TENANT_POLICY})"
    )
    if background_all:
        across_tenants(op, table, background)
    grant(op, table, api, api_grants)
    grant(op, table, background, background_grants)


def background_table(op: Operations, table: str, db: str, grants: str | Sequence[str]) -> None:
    """Protects a table that the background role alone may touch, whatever the tenant."""
    protect(op, table)
    across_tenants(op, table, background_role(db))
    grant(op, table, background_role(db), grants)


def protect(op: Operations, table: str) -> None:
    """Row-level security without a policy: nobody sees a row, the owner neither."""
    op.execute(f"ALTER TABLE {_named(table)} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def across_tenants(op: Operations, table: str, role: str) -> None:
    """The one policy, by its name `background`, under which a role crosses tenants."""
    op.execute(f"CREATE POLICY background ON {_named(table)} TO {_named(role)} USING (true) WITH CHECK (true)")


def grant(op: Operations, table: str, role: str, privileges: str | Sequence[str]) -> None:
    """Grants privileges, as SQL says them, on one table to one role; none when there are none."""
    listed = privileges if isinstance(privileges, str) else ", ".join(privileges)
    if listed:
        op.execute(f"GRANT {listed} ON {_named(table)} TO {_named(role)}")


def _named(name: str) -> str:
    # Names come from migrations alone; this keeps a slip from becoming SQL.
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError("a table, database or role is named by lower-case letters, digits and underscores")
    return name
