"""PostgreSQL of the local stacks."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import asyncpg
import pytest

from amanat_local import account
from amanat_local.postgres import ROLES, Postgres
from amanat_local.spawn import family, runs


async def test_a_role_enters_its_own_database_and_no_other(postgres: Postgres) -> None:
    for db in ("intake", "police_link"):
        postgres.create_database(db)
    connection = await asyncpg.connect(postgres.url("intake_api", "intake", "postgresql"))
    await connection.close()
    for other in ("police_link", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(postgres.url("intake_api", other, "postgresql"))


async def test_no_role_of_a_service_may_bypass_row_level_security(postgres: Postgres) -> None:
    for db in ROLES:
        postgres.create_database(db)
    powerful = postgres.sql("postgres", "SELECT rolname FROM pg_roles WHERE rolbypassrls OR rolsuper OR rolcreaterole")
    assert powerful.split() == ["postgres"]


async def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    postgres.create_database("forensics")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://forensics_api:guess@127.0.0.1:{postgres.port}/forensics")


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    running = Postgres.start(tmp_path / "cluster")
    try:
        running.create_database("intake")
        running.sql("intake", "CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (7)")
        port = running.port
        running.kill()
        running.resume()
        assert running.port == port
        assert running.sql("intake", "SELECT id FROM kept") == "7\n"
    finally:
        running.stop()


def test_a_second_start_finds_port_passwords_and_data_again(tmp_path: Path) -> None:
    first = Postgres.start(tmp_path / "cluster")
    first.create_database("intake")
    address = first.url("intake_api", "intake")
    first.stop()
    second = Postgres.start(tmp_path / "cluster")
    try:
        second.create_database("intake")
        assert second.url("intake_api", "intake") == address
    finally:
        second.stop()


def test_passwords_and_data_are_readable_by_their_owner_alone(postgres: Postgres) -> None:
    for secret in (postgres.folder / "cluster.json", postgres.log, postgres.data):
        assert stat.S_IMODE(secret.stat().st_mode) & 0o077 == 0


def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    running = Postgres.start(tmp_path / "cluster", durable=False)
    members = family(running.pid or 0)
    running.stop()
    assert len(members) > 1
    assert not [member for member in members if runs(member)]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs PostgreSQL as itself")
def test_without_user_namespaces_a_copy_runs_as_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_in_user_namespace", lambda folder: None)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path.parents[2]))
    running = Postgres.start(tmp_path / "cluster")
    try:
        running.create_database("intake")
        assert family(running.pid or 0)[0].username() == "nobody"
    finally:
        running.stop()
        shutil.rmtree(running.account.home.parent)
