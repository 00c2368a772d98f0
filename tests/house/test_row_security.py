"""Row-level security as the real migrations leave it: on every table that has a tenant, in all four databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from amanat.schema import TENANT_POLICY, background_role
from amanat_local.postgres import ROLES, Postgres

Migrated = Callable[[str, str], Postgres]
DATABASES = pytest.mark.parametrize("db", ROLES)
_TABLES = """
    SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
      AND a.attname = 'tenant' AND NOT a.attisdropped
    ORDER BY c.relname
"""
_POLICIES = """
    SELECT tablename, policyname, permissive, cmd, role, qual, with_check
    FROM pg_policies, unnest(roles) AS role WHERE schemaname = 'public'
"""
_GRANTED = """
    SELECT DISTINCT c.relname, r.rolname
    FROM pg_class c, pg_roles r
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
      AND r.rolname IN ('{}', '{}')
      AND (has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE, TRIGGER')
           OR has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
"""


def faults(postgres: Postgres, db: str) -> list[str]:
    """Tables with a tenant that are open, or whose roles have another policy than theirs; empty when all is well."""
    found = []
    for table, forced in _rows(postgres, db, _TABLES):
        if forced != "t":
            found.append(f"{table}: not forced")
        policies = [each[1:] for each in _rows(postgres, db, _POLICIES) if each[0] == table]
        held = {role for _, permissive, _, role, _, _ in policies if permissive == "PERMISSIVE"}
        granted = {role for name, role in _rows(postgres, db, _GRANTED.format(*ROLES[db])) if name == table}
        found += [f"{table}: no policy for {role}" for role in sorted(granted - held)]
        found += [f"{table}: {fault}" for each in policies if (fault := _fault(db, table, *each))]
    return found


def _fault(
    db: str, table: str, name: str, permissive: str, command: str, role: str, using: str, check: str
) -> str | None:
    """A tenant's own rows; every row, under that name, for background work alone; and the few policies of `NAMED`.
    What is restrictive only narrows these."""
    known = [("tenant", "ALL", each, _OWN, _OWN) for each in ROLES[db]]
    known += [("background", "ALL", background_role(db), "true", "true")]
    known += [(policy, "SELECT", of, what, "") for of_table, policy, of, what in NAMED if of_table == table]
    if permissive == "RESTRICTIVE" or (name, command, role, using, check) in known:
        return None
    return f"{name} lets {role} do {command} where {using}"


_OWN = "(tenant = ANY (string_to_array(NULLIF(current_setting('amanat.tenants'::text, true), ''::text), ','::text)))"
"""`TENANT_POLICY` as PostgreSQL spells it."""
_SIGNING_IN = "(digest = decode(NULLIF(current_setting('amanat.claim'::text, true), ''::text), 'hex'::text))"
NAMED = [
    ("claims", "claim", "intake_api", _SIGNING_IN),
    *((each, "clinicians", "intake_api", _OWN.replace("tenant", "clinician_cell", 1))
      for each in ("emergencies", "emergency_reviews")),
    *(("ledger_entries", "sequencer", background_role(db), "true") for db in ROLES if db != "intake"),
]  # fmt: skip
"""Table, policy, role and rows of what may be read besides one's tenants' own: the claim of whoever signs in, what a
cell's clinicians did at another's, and the ledger's entries by whoever puts them into the tree."""


def _rows(postgres: Postgres, db: str, query: str) -> list[list[str]]:
    return [line.split("|") for line in postgres.sql(db, query).splitlines()]


@DATABASES
def test_every_table_with_a_tenant_is_forced_to_its_policies(migrated: Migrated, db: str) -> None:
    postgres = migrated(db, db)
    assert len(_rows(postgres, db, _TABLES)) >= 8
    assert faults(postgres, db) == []


@DATABASES
def test_no_role_of_a_service_goes_round_row_level_security(migrated: Migrated, db: str) -> None:
    found = _rows(
        migrated(db, db),
        db,
        "SELECT rolname, rolsuper OR rolbypassrls, (SELECT count(*) FROM pg_auth_members WHERE member = r.oid)"
        f" FROM pg_roles r WHERE rolname LIKE '{db.replace('_', '~_')}~_%' ESCAPE '~' ORDER BY rolname",
    )
    assert found == [[role, "f", "0"] for role in sorted((*ROLES[db], f"{db}_migrator"))]


@DATABASES
def test_the_outbox_bars_the_http_process_from_topics_that_are_not_its_own(migrated: Migrated, db: str) -> None:
    postgres = migrated(db, db)
    narrowed = [
        [policy, command]
        for table, policy, permissive, command, role, *_ in _rows(postgres, db, _POLICIES)
        if table == "outbox" and permissive == "RESTRICTIVE" and role == ROLES[db][0]
    ]
    assert ["own_topics", "INSERT"] in narrowed
    query = f"SELECT has_any_column_privilege('{ROLES[db][0]}', 'outbox', 'UPDATE')"
    takes_back = [["taking_back", "UPDATE"]] if db == "intake" else []
    assert [each for each in narrowed if each[0] == "taking_back"] == takes_back
    assert _rows(postgres, db, query) == [["t" if takes_back else "f"]]


@contextmanager
def planted(postgres: Postgres, db: str, *statements: str) -> Iterator[None]:
    """A table more, as a careless migration would make it."""
    postgres.sql(db, "CREATE TABLE planted (tenant text)", *statements)
    try:
        yield
    finally:
        postgres.sql(db, "DROP TABLE planted")


ENABLED = "ALTER TABLE planted ENABLE ROW LEVEL SECURITY"
FORCED = "ALTER TABLE planted ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
GRANTED = "GRANT SELECT ON planted TO forensics_api"


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ((), ["not forced"]),
        ((ENABLED,), ["not forced"]),
        ((FORCED, GRANTED), ["no policy for forensics_api"]),
        ((FORCED, "GRANT UPDATE (tenant) ON planted TO forensics_worker"), ["no policy for forensics_worker"]),
        (
            (FORCED, GRANTED, f"CREATE POLICY tenant ON planted TO forensics_worker USING ({TENANT_POLICY})"),
            ["no policy for forensics_api", "tenant lets forensics_worker do ALL where"],
        ),
        (
            (FORCED, GRANTED, "CREATE POLICY background ON planted TO forensics_api USING (true) WITH CHECK (true)"),
            ["background lets forensics_api do ALL where true"],
        ),
        (
            (FORCED, f"CREATE POLICY tenant ON planted USING ({TENANT_POLICY}) WITH CHECK ({TENANT_POLICY})"),
            ["tenant lets public do ALL where"],
        ),
        (
            (FORCED, GRANTED, f"CREATE POLICY tenant ON planted TO forensics_api USING ({TENANT_POLICY} OR true)"
             f" WITH CHECK ({TENANT_POLICY})"),
            ["tenant lets forensics_api do ALL where"],
        ),
        ((FORCED, GRANTED, "CREATE POLICY tenant ON planted TO forensics_api USING (tenant <> '')"),
         ["tenant lets forensics_api do ALL where"]),
    ],
)  # fmt: skip
def test_a_table_that_a_migration_left_open_is_found(
    migrated: Migrated, statements: tuple[str, ...], found: list[str]
) -> None:
    postgres = migrated("forensics", "forensics")
    with planted(postgres, "forensics", *statements):
        told = faults(postgres, "forensics")
    assert [each.startswith(f"planted: {want}") for each, want in zip(told, found, strict=True)] == [True] * len(found)
    assert faults(postgres, "forensics") == []
