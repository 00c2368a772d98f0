"""A cluster with two services' databases, made by real migrations of a small module; and Kafka's mock cluster."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer as Librdkafka

from amanat import migrate
from amanat.db import Database
from amanat.inbox import Inbox
from amanat_local.postgres import Postgres

from .effects import Effects, inbox_of

REVISION = """
from alembic import op

from amanat.schema import tenant_table
from amanat.schema.agency_v1 import create_agency
from amanat.schema.ledger_v1 import create_ledger
from amanat.schema.ledger_v2 import mend_ledger
from amanat.schema.v1 import create_platform
from amanat.schema.v2 import narrow_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform(op, "{db}", "{background}")
    create_ledger(op, "{db}")
    mend_ledger(op, "{db}")
    narrow_outbox(op, "{db}")
    if "{background}" == "worker":
        create_agency(op, "{db}")
    op.execute(
        "CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, tenant text NOT NULL, referral text, what text)"
    )
    tenant_table(op, "effects", "{db}", "SELECT", "SELECT, INSERT", {background_all})
"""
ENV = """
from amanat.migrate import run_env
from amanat.tables import metadata

run_env(metadata)
"""


def make_module(folder: Path, name: str, db: str, background: str) -> None:
    """A module with migrations, importable until the run ends."""
    versions = folder / name / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    (folder / name / "migrations" / "env.py").write_text(ENV)
    revision = REVISION.format(db=db, background=background, background_all=background == "gate")
    (versions / "0001_first.py").write_text(revision)
    sys.path.insert(0, str(folder))


def upgraded(cluster: Postgres, module: str, db: str) -> None:
    with ThreadPoolExecutor(max_workers=1) as aside:
        aside.submit(migrate.upgrade, module, cluster.url(f"{db}_migrator", db)).result()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Its own, because the other services' databases of the same names hold the services' own tables."""
    folder = Path(tmp_path_factory.mktemp("events"))
    running = Postgres.start(folder / "cluster", durable=False)
    try:
        for db, background in (("police_link", "worker"), ("intake", "gate")):
            running.create_database(db)
            make_module(folder, f"events_sample_{background}", db, background)
            upgraded(running, f"events_sample_{background}", db)
        yield running
    finally:
        running.stop()


def emptied(cluster: Postgres, db: str) -> None:
    cluster.sql(
        db,
        "TRUNCATE outbox, inbox, parked, idempotency, looks, ledger_entries, relay_lease, effects RESTART IDENTITY",
    )


@pytest.fixture
async def worker(cluster: Postgres) -> AsyncIterator[Database]:
    """police-link's database as its worker, empty."""
    emptied(cluster, "police_link")
    database = Database(cluster.url("police_link_worker", "police_link"), application_name="test-worker")
    yield database
    await database.dispose()


@pytest.fixture
async def api(cluster: Postgres, worker: Database) -> AsyncIterator[Database]:
    """The same database as the HTTP process."""
    database = Database(cluster.url("police_link_api", "police_link"), application_name="test-api")
    yield database
    await database.dispose()


@pytest.fixture
async def gate(cluster: Postgres) -> AsyncIterator[Database]:
    """Intake's database as the gate, empty."""
    emptied(cluster, "intake")
    database = Database(cluster.url("intake_gate", "intake"), application_name="test-gate")
    yield database
    await database.dispose()


@pytest.fixture
async def main(cluster: Postgres, gate: Database) -> AsyncIterator[Database]:
    """Intake's database as its HTTP process."""
    database = Database(cluster.url("intake_api", "intake"), application_name="test-main")
    yield database
    await database.dispose()


@pytest.fixture
def effects(cluster: Postgres, worker: Database) -> Effects:
    return Effects(cluster)


@pytest.fixture
def inbox(worker: Database, effects: Effects) -> Inbox:
    return inbox_of(worker, effects.handle)


@dataclass(frozen=True)
class Kafka:
    """Settings of a broker without users."""

    kafka_bootstrap: str
    kafka_security: str = "plaintext"
    kafka_user: str = ""
    kafka_password: str = ""


@pytest.fixture(scope="session")
def mock() -> Librdkafka:
    """It lives as long as this client."""
    return Librdkafka({"test.mock.num.brokers": 1, "allow.auto.create.topics": True, "log_level": 3})


@pytest.fixture(scope="session")
def kafka(mock: Librdkafka) -> Kafka:
    (broker,) = mock.list_topics(timeout=10).brokers.values()
    return Kafka(f"{broker.host}:{broker.port}")


@pytest.fixture
def topic(mock: Librdkafka) -> str:
    """A new topic of four partitions."""
    return made_topic(mock)


def made_topic(mock: Librdkafka) -> str:
    name = f"disclosures.{uuid4().hex[:12]}"
    while len(mock.list_topics(name, timeout=10).topics[name].partitions) != 4:
        pass
    return name
