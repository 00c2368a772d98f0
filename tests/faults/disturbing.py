"""What is done to a running platform beside a story, again and again until the story is over; each says how often.

What it breaks it mends before it returns: a story ends on a whole platform.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import uuid4

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import Consumer

from amanat_local.broker import PARTITIONS
from amanat_local.postgres import Postgres
from amanat_local.process import Process, answers
from amanat_local.services import NAMES
from amanat_local.spawn import end, free_port
from amanat_local.stack import Stack

from .compact_story import Story
from .statements import DATABASES

WORKERS = tuple(name for name in NAMES if name.endswith(("worker", "gate")))
READERS = {"intake-gate": "intake", "police-link-worker": "police-link", "forensics-worker": "forensics",
           "legal-aid-worker": "legal-aid"}  # fmt: skip
"""Process → the group as which it reads what the platform tells it."""
PARKING = {"disclosures.police-link": "police_link", "facts.police-link": "intake"}
"""Topic → where what nobody can read on it is put aside. (On a ledger's topic it is an alarm of all witnesses, and that
ledger is cosigned no more until an operator has looked: `tests/shared/ledger/test_witness.py`.)"""
LONGER_THAN_A_LEASE_S = 8.0
"""Than the relay's six seconds, and than Kafka keeps the place of who has fallen silent."""


@dataclass
class Beside:
    """A story that is under way, and what is done to it, `most` times."""

    stack: Stack
    story: Story
    chance: random.Random
    most: int
    over: threading.Event = field(default_factory=threading.Event)
    done: int = 0

    def pause(self, least: float, most: float) -> bool:
        """For a random while; False once the story is over, or has seen enough."""
        return self.done < self.most and not self.over.wait(self.chance.uniform(least, most))


Fault = Callable[[Beside], None]


def broker_killed(beside: Beside) -> None:
    """SIGKILL, and back after a moment."""
    while beside.pause(0.2, 2.0):
        beside.stack.kill("kafka")
        time.sleep(beside.chance.uniform(0, 1.0))
        beside.stack.start_process("kafka")
        beside.done += 1
        beside.pause(2.0, 3.0)  # the groups come together again, or nothing of the story would ever move


def postgres_stopped_at_once(beside: Beside) -> None:
    """What `pg_ctl stop -m immediate` does: every session is cut, nothing is written, recovery on the next start."""
    postgres = beside.stack.postgres
    assert postgres is not None
    while beside.pause(0.1, 1.5):
        assert postgres.process is not None
        end(postgres.process, signal.SIGQUIT, within_s=20)
        postgres.process = None
        beside.stack.start_process("postgres")
        beside.done += 1


def disk_full(beside: Beside) -> None:
    """PostgreSQL says that its disk is full (SQLSTATE 53100), now and then, to whatever is to be written anywhere.

    It only says so: triggers do. How PostgreSQL itself fares with a full disk is not tried.
    """
    postgres = beside.stack.postgres
    assert postgres is not None
    tables = {db: _tables(postgres, db) for db in DATABASES}
    for db, named in tables.items():
        postgres.sql(db, "CREATE SEQUENCE disk_full_said", _SAY_FULL, *(_WHEN_WRITTEN.format(table) for table in named))
    try:
        while beside.pause(0.1, 0.1):
            beside.done = sum(int(postgres.sql(db, _SAID)) for db in DATABASES)
    finally:
        for db, named in tables.items():
            off = [f"DROP TRIGGER disk_full ON {table}" for table in named]
            postgres.sql(db, *off, "DROP FUNCTION disk_full", "DROP SEQUENCE disk_full_said")


_SAY_FULL = """
CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF random() < 0.02 THEN
    PERFORM nextval('disk_full_said');
    RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file';
  END IF;
  RETURN NULL;
END $$
"""
_SAID = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM disk_full_said"
"""How often; a sequence counts what is rolled back as well."""
_WHEN_WRITTEN = "CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE ON {} FOR EACH STATEMENT EXECUTE FUNCTION disk_full()"


def _tables(postgres: Postgres, db: str) -> list[str]:
    asked = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    return postgres.sql(db, asked).split()


def told_to_stop(beside: Beside) -> None:
    """SIGTERM to one process after another, in the middle of its work; started again once it has ended."""
    while beside.pause(0.0, 0.4):
        name = beside.chance.choice(NAMES)
        beside.stack.restart(name)
        beside.done += 1


def zombies(beside: Beside) -> None:
    """A worker is stopped in its tracks, another takes its place, and it wakes up again beside it."""
    while beside.pause(0.1, 1.0):
        part = beside.stack.part(beside.chance.choice(WORKERS[1:]))
        assert isinstance(part, Process)
        assert part.pid is not None
        os.kill(part.pid, signal.SIGSTOP)
        port = free_port()
        twin = replace(
            part,
            name=f"{part.name}-twin",
            env={**part.env, "AMANAT_PORT": str(port)},
            log=part.log.with_name(f"{part.name}-twin.log"),
            ready=answers(port),
            running=None,
        )
        twin.start()
        try:
            time.sleep(LONGER_THAN_A_LEASE_S)  # that it lasts is what is tried
            os.kill(part.pid, signal.SIGCONT)
            beside.over.wait(2.0)
        finally:
            with suppress(ProcessLookupError):
                os.kill(part.pid, signal.SIGCONT)
            twin.stop()
        if part.pid is None:  # it may end when it finds its place taken
            beside.stack.start_process(part.name)
        beside.done += 1


def poisoned(beside: Beside) -> None:
    """What nobody can read, under referrals that nobody has: more than one in a hundred events. It is put aside, and
    can be seen there."""
    producer, made = Producer(_access(beside.stack)), set[str]()
    while beside.pause(0.01, 0.1):
        topic, referral = beside.chance.choice(tuple(PARKING)), f"P-{uuid4().hex[:4].upper()}-0000-0"
        kind = beside.chance.choice(("pk.amanat.category-disclosed.v1", "pk.amanat.nothing-known.v1", ""))
        headers = [("ce_id", str(uuid4()).encode()), ("ce_type", kind.encode()), ("ce_organisation", b"station-saddar")]
        body = beside.chance.choice((b"", b"{", b'{"referral": 1}', os.urandom(200)))
        producer.produce(topic, value=body, key=referral.encode(), headers=headers)
        made.add(referral)
        beside.done += 1
    producer.flush(30)
    _until_put_aside(beside.stack, made)


def _until_put_aside(stack: Stack, referrals: set[str]) -> None:
    """Returns when all that came under these stands among what is parked, and takes it away from there."""
    assert stack.postgres is not None
    which = f"referral = ANY('{{{','.join(referrals)}}}')"
    deadline = time.monotonic() + 120
    while True:
        asked = [stack.postgres.sql(db, f"SELECT count(*) FROM parked WHERE {which}") for db in PARKING.values()]
        if sum(map(int, asked)) == len(referrals):
            break
        assert time.monotonic() < deadline, f"{asked} of {len(referrals)} are parked"
        time.sleep(0.2)
    for db in PARKING.values():
        stack.postgres.sql(db, f"DELETE FROM parked WHERE {which}")


def read_again(beside: Beside) -> None:
    """A group is set back to the beginning of all that it reads."""
    administrator = AdminClient(_access(beside.stack))
    while beside.pause(0.5, 1.5):
        name = beside.chance.choice(tuple(READERS))
        beside.stack.stop_process(name)
        try:
            _set_back(administrator, READERS[name])
        finally:
            beside.stack.start_process(name)
        beside.done += 1


def others_join(beside: Beside) -> None:
    """Members that read nothing join the workers' groups and leave them: each time all partitions are dealt anew."""
    while beside.pause(0.0, 0.3):
        group = beside.chance.choice(tuple(READERS.values()))
        topic = "facts.police-link" if group == "intake" else f"disclosures.{group}"
        joining = Consumer(
            {**_access(beside.stack, "admin"), "group.id": group, "enable.auto.commit": False,
             "session.timeout.ms": 6000, "partition.assignment.strategy": "roundrobin"}
        )  # fmt: skip
        joining.subscribe([topic])
        joining.poll(beside.chance.uniform(0.5, 3.0))
        joining.close()
        beside.done += 1


def _set_back(administrator: AdminClient, group: str) -> None:
    topics = [f"facts.{each}" for each in ("police-link", "forensics", "legal-aid")]
    topics = topics if group == "intake" else [f"disclosures.{group}"]
    places = [TopicPartition(topic, number, 0) for topic in topics for number in range(PARTITIONS)]
    deadline = time.monotonic() + 60
    while True:
        try:
            [asked] = administrator.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values()
            asked.result(20)
        except KafkaException:
            # Its member has only just ended, and Kafka keeps its place for some seconds.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _access(stack: Stack, user: str = "admin") -> dict[str, str]:
    kafka = stack.info["kafka"]
    return {
        "bootstrap.servers": kafka["bootstrap"],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": kafka["users"][user],
    }
