"""Apache Kafka on one machine: KRaft, one node, SCRAM-SHA-512 for clients, ACLs, the controller's listener behind SASL.

Law 1 in the broker's own words: the gate alone writes `disclosures.*`, an agency reads its own and writes its own
facts, and nobody else may do anything, nor see that a topic exists.
"""

from __future__ import annotations

import socket
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented there, but not marked as exported
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from amanat_local import maven
from amanat_local.broker import AGENCIES, CHECKPOINTS, PARTITIONS, SERVICES, TOPICS
from amanat_local.kept import Kept, private_folder, write_private
from amanat_local.process import Process, environment
from amanat_local.services import Kafka
from amanat_local.spawn import NotReady

ADMIN = "admin"
GATE = "intake-gate"
CHECKPOINT_BATCH = 64 * 1024
"""Bytes; of a batch of events of 1 KiB each."""
USERS = (ADMIN, GATE, *AGENCIES)
PORT = 7751
RETENTION_MS = 7 * 24 * 3600 * 1000  # AMANAT_TOPIC_RETENTION_DAYS
_EXISTS = "TOPIC_ALREADY_EXISTS"


class KafkaServer:
    """The broker's process and its administration. `process.start` starts it again on the same port and data."""

    def __init__(self, folder: Path, logs: Path, kept: Kept, *, preferred: bool) -> None:
        self._folder = folder
        self._port = kept.port("kafka", PORT if preferred else None)
        self._controller_port = kept.port("kafka-controller", PORT + 1 if preferred else None)
        self._controller_secret = kept.secret("kafka:controller")
        self._users = {user: kept.secret(f"kafka:{user}") for user in USERS}
        self._settings = folder / "server.properties"
        self._java = maven.java()
        self._jars = maven.kafka_folder()
        self.process = Process(
            name="kafka",
            argv=[self._java, "-Xmx512m", "-XX:+UseG1GC", "-cp", f"{self._jars}/*", "kafka.Kafka", str(self._settings)],
            env=environment({}),
            log=logs / "kafka.log",
            ready=self._answers,
        )

    @property
    def address(self) -> Kafka:
        return Kafka(f"127.0.0.1:{self._port}", "scram", self._users)

    @property
    def controller(self) -> str:
        """The controller's own listener: behind SASL as well, nobody's business but the broker's."""
        return f"127.0.0.1:{self._controller_port}"

    def start(self) -> None:
        """Formats the storage the first time, starts, makes topics and ACLs; returns when it serves clients."""
        maven.download_kafka()
        private_folder(self._folder / "data")
        write_private(self._settings, "".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if not (self._folder / "data" / "meta.properties").exists():
            self._format()
        self.process.start()
        self.process.wait()
        admin = self.administer()
        self._make_topics(admin)
        for done in admin.create_acls(list(_acls())).values():
            done.result(30)

    def administer(self) -> AdminClient:
        return AdminClient(
            {
                "bootstrap.servers": self.address.bootstrap,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": ADMIN,
                "sasl.password": self._users[ADMIN],
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            self.administer().list_topics(timeout=5)
        except (OSError, KafkaException):
            return False
        return True

    def _make_topics(self, admin: AdminClient) -> None:
        settings = {"retention.ms": str(RETENTION_MS), "min.insync.replicas": "1", "cleanup.policy": "delete"}
        # Checkpoints are small, and kept: a witness that comes late must find a proof from each to the next.
        kept = {**settings, "retention.ms": "-1", "max.message.bytes": str(CHECKPOINT_BATCH)}
        topics = [NewTopic(topic, PARTITIONS, 1, config=kept if topic in CHECKPOINTS else settings) for topic in TOPICS]
        for done in admin.create_topics(topics).values():
            try:
                done.result(30)
            except KafkaException as error:
                if error.args[0].name() != _EXISTS:
                    raise

    def _properties(self) -> dict[str, str]:
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
        own = f'username="controller" password="{self._controller_secret}"'
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": self.controller,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"CLIENTS://{self.address.bootstrap},CONTROLLER://{self.controller}",
            "advertised.listeners": f"CLIENTS://{self.address.bootstrap},CONTROLLER://{self.controller}",
            "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
            "inter.broker.listener.name": "CLIENTS",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": (
                f'{scram} required username="{ADMIN}" password="{self._users[ADMIN]}";'
            ),
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": (
                f'{plain} required {own} user_controller="{self._controller_secret}";'
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:controller",
            "allow.everyone.if.no.acl.found": "false",
            # After a crash the controller must notice that the old broker is gone before the new one may register.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "log.dirs": str(self._folder / "data"),
            "auto.create.topics.enable": "false",
            "num.partitions": str(PARTITIONS),
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.num.partitions": "4",
            **dict.fromkeys(("offsets.topic.replication.factor", "transaction.state.log.replication.factor"), "1"),
            **dict.fromkeys(("transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"), "1"),
            "share.coordinator.state.topic.replication.factor": "1",
        }

    def _format(self) -> None:
        """Passwords go through a file of arguments: a command line is everyone's to read."""
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        arguments = ["-cp", f"{self._jars}/*", "kafka.tools.StorageTool", "format", "--standalone"]
        arguments += ["--cluster-id", f"A{cluster[1:]}", "--config", str(self._settings)]
        for user, password in self._users.items():
            arguments += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        told = self._folder / "format.arguments"
        write_private(told, "".join(f'"{argument}"\n' for argument in arguments))
        try:
            done = subprocess.run(
                [self._java, "-XX:TieredStopAtLevel=1", f"@{told}"],
                capture_output=True,
                text=True,
                env=environment({}),
                check=False,
            )
        finally:
            told.unlink()
        if done.returncode:
            raise NotReady(f"Kafka's storage was not formatted: {done.stderr[-1000:]}")


def _acls() -> Iterator[AclBinding]:
    read, write, describe = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE
    for agency in AGENCIES:
        for user, topic, operation in (
            (agency, f"disclosures.{agency}", read),
            (agency, f"facts.{agency}", write),
            (GATE, f"disclosures.{agency}", write),
            (GATE, f"facts.{agency}", read),
        ):
            yield _allowed(user, ResourceType.TOPIC, topic, operation)
            yield _allowed(user, ResourceType.TOPIC, topic, describe)
    users = {service: GATE if service == "intake" else service for service in SERVICES}
    for service, user in users.items():
        yield _allowed(user, ResourceType.TOPIC, f"checkpoints.{service}", write)
        for topic in CHECKPOINTS:
            yield _allowed(user, ResourceType.TOPIC, topic, read)
            yield _allowed(user, ResourceType.TOPIC, topic, describe)
    for service, user in users.items():
        for group in (service, f"{service}-ledger"):
            yield _allowed(user, ResourceType.GROUP, group, read)
            yield _allowed(user, ResourceType.GROUP, group, describe)


def _allowed(user: str, kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    permission = AclPermissionType.ALLOW
    return AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, permission)
