"""Migrations: all or nothing, one at a time, and never waiting long for a lock."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from amanat import migrate
from amanat_local.postgres import Postgres

from .conftest import ENV, upgraded

SECOND = """
from alembic import op

revision = "{revision}"
down_revision = {down}


def upgrade() -> None:
    {body}
"""


@pytest.fixture(scope="module")
def database(cluster: Postgres) -> str:
    cluster.create_database("forensics")
    return "forensics"


def module(folder: Path, name: str, *bodies: str) -> str:
    versions = folder / name / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    (folder / name / "migrations" / "env.py").write_text(ENV)
    for number, body in enumerate(bodies):
        down = None if number == 0 else f"{name}{number - 1}"
        text_ = SECOND.format(revision=f"{name}{number}", down=repr(down), body=body)
        (versions / f"{number}.py").write_text(text_)
    sys.path.insert(0, str(folder))
    return name


def tables(cluster: Postgres, db: str) -> set[str]:
    return set(cluster.sql(db, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").split())


async def test_a_failing_migration_leaves_nothing_behind(cluster: Postgres, database: str, tmp_path: Path) -> None:
    name = module(tmp_path, "half_module", 'op.execute("CREATE TABLE half (id int)")', 'op.execute("SELECT 1/0")')
    with pytest.raises(DBAPIError):
        upgraded(cluster, name, database)
    assert "half" not in tables(cluster, database)


async def test_a_migration_gives_a_held_lock_up_and_comes_back(
    cluster: Postgres, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_S", 1)
    cluster.sql(database, "CREATE TABLE held (id int)", f"ALTER TABLE held OWNER TO {database}_migrator")
    name = module(tmp_path, "lock_module", 'op.execute("ALTER TABLE held ADD COLUMN later int")')
    engine = create_async_engine(cluster.admin_url(database))
    async with engine.connect() as connection:
        await connection.execute(text("LOCK TABLE held IN ACCESS SHARE MODE"))
        running = asyncio.create_task(asyncio.to_thread(upgraded, cluster, name, database))
        await asyncio.sleep(1.5)
        assert not running.done()
        await connection.rollback()
        await running
    await engine.dispose()
    assert "later" in cluster.sql(database, "SELECT column_name FROM information_schema.columns").split()


def test_the_command_says_what_it_needs(cluster: Postgres, database: str) -> None:
    command = [sys.executable, "-m", "amanat.migrate"]
    bare = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
    assert (bare.returncode, "usage" in bare.stderr) == (2, True)
    url = cluster.url(f"{database}_migrator", database)
    missing = subprocess.run(
        [*command, "email"], capture_output=True, text=True, env={"AMANAT_DATABASE_URL": url}, check=False
    )
    assert missing.returncode == 1
    assert "migrations/env.py" in missing.stderr
