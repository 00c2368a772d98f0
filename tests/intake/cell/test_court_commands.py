"""What an operator does at the cell's own machine: a court bundle, and a new generation of the key-encryption key. The
commands take a process's environment or, without one, the local stack's."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amanat_local.postgres import Postgres

from .court import Court, story
from .world import POLICE, World, consent

ASKED = ("--basis", "court_order", "--reference", "Order 9", "--recipient", "Court")


@pytest.fixture
async def court(world: World, migrated: Callable[[str, str], Postgres]) -> Court:
    return await story(world, migrated("intake", "intake"))


def _environment(world: World, postgres: Postgres, role: str) -> dict[str, str]:
    told = world.settings
    found = {
        "DATABASE_URL": postgres.url(role, "intake"), "ISSUER": told.issuer, "AUDIENCE": told.audience,
        "DIRECTORY_FILE": told.directory_file, "AT_REST_KEY_FILE": told.at_rest_key_file,
        "INDEX_KEY_FILE": told.index_key_file, "KEK_PUBLIC_DIR": told.kek_public_dir,
    }  # fmt: skip
    if role == "intake_gate":
        found |= {"KEK_PRIVATE_DIR": told.kek_private_dir, "FACTS_KEY_DIR": told.facts_key_dir,
                  "LEDGER_KEY_FILE": told.ledger_key_file, "KAFKA_BOOTSTRAP": "127.0.0.1:1",
                  "KAFKA_SECURITY": "plaintext"}  # fmt: skip
    else:
        found["BUNDLE_KEY_FILE"] = told.bundle_key_file
    return {f"AMANAT_{name}": str(value) for name, value in found.items()}


def _stack(folder: Path, **environments: dict[str, str]) -> Path:
    """A folder in which a local stack runs, by what it says of itself."""
    (folder / ".amanat").mkdir()
    told = {"environments": {name.replace("_", "-"): each for name, each in environments.items()}}
    (folder / ".amanat" / "stack.json").write_text(json.dumps(told))
    return folder


async def test_an_operator_makes_one_at_the_cell_and_is_on_record(court: Court, tmp_path: Path) -> None:
    told = court.world.settings
    environment = _environment(court.world, court.postgres, "intake_api")
    out = tmp_path / "bundle.zip"
    made = await _amanat(
        environment, "bundle", court.case, "--basis", "court_order", "--reference", "Order 9", "--recipient", "Court",
        "--looks", "--out", str(out),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert out.stat().st_mode & 0o077 == 0
    proven = await _amanat({}, "verify", str(out), "--keys", str(told.directory_file))
    assert (proven.returncode, proven.stdout.startswith("PROVEN")) == (0, True)
    by = court.sql("SELECT DISTINCT asked_by, client FROM bundles").strip()
    assert by.startswith("operator ")
    assert by.endswith("|amanat-bundle")
    assert (
        court.sql("SELECT count(*) FROM looks WHERE client = 'amanat-bundle' AND tenant = 'arcc-karachi'").strip()
        == "1"
    )
    again = await _amanat(
        environment,
        "bundle",
        court.case,
        "--basis",
        "consent",
        "--reference",
        "x",
        "--recipient",
        "y",
        "--out",
        str(out),
    )
    assert (again.returncode, "there already" in again.stderr) == (2, True)
    unknown = await _amanat(
        environment, "bundle", "C-0000-0000-0", "--basis", "consent", "--reference", "x", "--recipient", "y",
        "--out", str(tmp_path / "other.zip"),
    )  # fmt: skip
    assert (unknown.returncode, "Traceback" in unknown.stderr) == (2, False)


async def test_without_an_environment_it_takes_the_local_stacks(court: Court, tmp_path: Path) -> None:
    environment = _environment(court.world, court.postgres, "intake_api")
    alone = await _amanat({}, "bundle", court.case, *ASKED, "--out", "bundle.zip", folder=tmp_path)
    assert (alone.returncode, "no local stack" in alone.stderr, "Traceback" in alone.stderr) == (2, True, False)
    folder = _stack(tmp_path, intake_main=environment)
    made = await _amanat({}, "bundle", court.case, *ASKED, "--out", "bundle.zip", folder=folder)
    assert made.returncode == 0, made.stderr
    proven = await _amanat({}, "verify", str(folder / "bundle.zip"))
    assert proven.stdout.startswith("PROVEN")
    # What the environment says itself counts.
    told = {"AMANAT_BUNDLE_KEY_FILE": str(folder / "nothing.pem")}
    refused = await _amanat(told, "bundle", court.case, *ASKED, "--out", "other.zip", folder=folder)
    assert refused.returncode != 0
    assert not (folder / "other.zip").exists()


async def test_the_key_encryption_key_is_rotated_by_a_command(
    world: World, migrated: Callable[[str, str], Postgres], tmp_path: Path
) -> None:
    _, referrals = await world.open_case(consent(POLICE, "identity"))
    before = await world.readable(POLICE, referrals[POLICE])
    environment = _environment(world, migrated("intake", "intake"), "intake_gate")
    done = await _amanat({}, "keys", "rotate", folder=_stack(tmp_path, intake_gate=environment))
    assert done.returncode == 0, done.stderr
    assert "generation 2 is current; 1 live keys moved to it\ndestroyed: 1\n" in done.stdout
    assert await world.readable(POLICE, referrals[POLICE]) == before
    again = await _amanat(environment, "keys", "rotate", "--quiet")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "3")
    status = await _amanat({}, "gate", "status", folder=tmp_path)
    assert (status.returncode, "never restored" in status.stdout) == (0, True)


async def _amanat(
    environment: dict[str, str], *words: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", "from amanat.cli import run; run()", *words]
    told = {**environment, "PATH": os.environ["PATH"]}
    return await asyncio.to_thread(
        subprocess.run, call, env=told, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


async def test_an_entry_is_erased_by_a_command_and_its_leaf_stands(court: Court) -> None:
    environment = _environment(court.world, court.postgres, "intake_gate")
    at = "FROM ledger_leaves l JOIN ledger_entries e ON e.id = l.entry WHERE e.kind = 'record_added'"
    position = court.sql(f"SELECT min(position) {at}").strip()
    leaf = court.sql(f"SELECT hash FROM ledger_leaves WHERE position = {position}")
    done = await _amanat(environment, "ledger", "erase", position, "--service", "intake", "--yes")
    assert (done.returncode, done.stdout) == (0, f"erased: entry {position} of intake (record_added)\n"), done.stderr
    assert court.sql(f"SELECT hash FROM ledger_leaves WHERE position = {position}") == leaf
    salts = f"SELECT count(*) {at} AND l.position = {position} AND e.salt_sealed IS NULL"
    assert court.sql(salts).strip() == "1"
    assert court.sql("SELECT count(*) FROM ledger_entries WHERE kind = 'erased'").strip() == "1"
    for asked, said in ((position, "no entry that could be erased"), ("999999", "no entry stands at 999999")):
        refused = await _amanat(environment, "ledger", "erase", asked, "--service", "intake", "--yes")
        assert (refused.returncode, said in refused.stderr, "Traceback" in refused.stderr) == (2, True, False)
