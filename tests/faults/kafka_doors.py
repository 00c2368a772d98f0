"""What a user of the broker may do, found out by trying it. Nothing that is tried changes anything where it is allowed.

A write is tried with a record larger than any topic takes, a join with a protocol that no member speaks, a deletion on
groups that have members or never were: the broker asks its ACLs first, and only then finds fault with the request.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.protocol.admin import DeleteRecordsRequest, DescribeAclsRequest
from aiokafka.protocol.api import Request
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
)

WITHIN_S = 30.0
POLL_S = 0.1
_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,  # a topic that one may not describe is as one that never was
}
_PASSED = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.NON_EMPTY_GROUP,
    KafkaError.GROUP_ID_NOT_FOUND,
    KafkaError.OFFSET_OUT_OF_RANGE,
}
_FORBIDDEN = _REFUSED - {KafkaError.UNKNOWN_TOPIC_OR_PART}
_UNANSWERED = {KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._UNKNOWN_BROKER}
BROKER = "1"
"""The broker's number (`amanat_local.kafka`)."""
_LARGER_THAN_ANY = 2 * 1024 * 1024


class Undecided(AssertionError):
    """Neither allowed nor refused."""


@dataclass(frozen=True)
class User:
    """A user at the clients' listener."""

    bootstrap: str
    name: str
    password: str

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": self.name,
            "sasl.password": self.password,
            "log_level": 0,
        }

    def administer(self) -> AdminClient:
        """Administration, as far as this user may."""
        return AdminClient(self.settings)


def may_read(user: User, topic: str) -> bool:
    """Fetches what its first partition begins with."""
    return _answered(user, FetchRequest(0, 0, 1024, 0, [(topic, [(0, 0, 1024)])]))


def may_write(user: User, topic: str) -> bool:
    """Produces what is refused for its size, where it is not refused before."""
    batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 2 * _LARGER_THAN_ANY)
    batch.append(0, 0, None, bytes(_LARGER_THAN_ANY), [])
    return _answered(user, ProduceRequest(None, -1, 10_000, [(topic, [(0, bytes(batch.build()))])]))


def may_describe(user: User, topic: str) -> bool:
    """Asks for its metadata."""
    error = user.administer().list_topics(topic, timeout=WITHIN_S).topics[topic].error
    return error is None or _allowed(error)


def may_list_offsets(user: User, topic: str) -> bool:
    """Asks how far its first partition reaches."""
    return _answered(user, OffsetRequest(-1, 0, [(topic, [(0, -1)])]))


def may_join(user: User, group: str, topic: str) -> bool:
    """Joins for a topic that it may describe; in a group with members by a protocol that none of them speaks."""
    settings = {"group.id": group, "partition.assignment.strategy": "range", "enable.auto.commit": False}
    consumer = Consumer(user.settings | settings)
    assigned: list[object] = []
    try:
        consumer.subscribe([topic], on_assign=lambda _, partitions: assigned.append(partitions))
        for _ in range(int(WITHIN_S / POLL_S)):
            message = consumer.poll(POLL_S)
            if assigned:
                return True
            if message is not None and message.error() is not None:
                return _allowed(message.error())
    finally:
        consumer.close()
    raise Undecided(f"{user.name} joins {group}")


def may_describe_group(user: User, group: str) -> bool:
    """Asks for its members."""
    return _done(user, lambda admin: admin.describe_consumer_groups([group], request_timeout=WITHIN_S))


def may_delete_group(user: User, group: str) -> bool:
    """Deletes it, were it only empty."""
    return _done(user, lambda admin: admin.delete_consumer_groups([group], request_timeout=WITHIN_S))


TOPIC: dict[str, Callable[[User, str], bool]] = {
    "read": may_read,
    "write": may_write,
    "describe": may_describe,
    "list offsets": may_list_offsets,
}


def answers_without_sasl(address: str, kind: int, version: int) -> bool:
    """Whether the listener answers a request of this kind from a connection that has not said who it is.

    Only the header counts: a listener that asks for SASL looks at the kind first, and hangs up.
    """
    host, _, port = address.rpartition(":")
    body = struct.pack(">hhih", kind, version, 1, -1) + bytes(64)
    with socket.create_connection((host, int(port)), timeout=WITHIN_S) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        try:
            return bool(connection.recv(4))
        except ConnectionResetError:
            return False


def offered_without_sasl(address: str) -> dict[int, tuple[int, int]]:
    """{kind: (lowest, highest version)} of every request that the listener says it knows, to whoever asks."""
    host, _, port = address.rpartition(":")
    asked = struct.pack(">hhih", 18, 0, 1, -1)
    with socket.create_connection((host, int(port)), timeout=WITHIN_S) as connection, connection.makefile("rb") as got:
        connection.sendall(struct.pack(">i", len(asked)) + asked)
        (length,) = struct.unpack(">i", got.read(4))
        answer = got.read(length)
    _, error, count = struct.unpack_from(">ihi", answer)
    assert error == 0
    kinds = (struct.unpack_from(">hhh", answer, 10 + 6 * place) for place in range(count))
    return {kind: (lowest, highest) for kind, lowest, highest in kinds}


def administering(user: User, topic: str) -> dict[str, bool]:
    """{what: whether the user may}. Nothing of it changes anything where it is allowed: a request is for what never
    was, is only to be validated, or says again what is so."""
    admin = user.administer()
    here, nobody = ResourcePatternType.LITERAL, "User:nobody"
    told = (ResourceType.TOPIC, "another", here, nobody, "*", AclOperation.READ, AclPermissionType.ALLOW)
    asked: dict[str, Future[Any]] = {
        "create a topic": _only(admin.create_topics([NewTopic("another", 1, 1)], validate_only=True)),
        "describe configs": _only(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])),
        "alter a topic's configs": _sets(admin, ResourceType.TOPIC, topic, "retention.ms", "1000"),
        "alter the broker's configs": _sets(admin, ResourceType.BROKER, BROKER, "log.cleaner.threads", "1"),
        "delete rights": _only(admin.delete_acls([AclBindingFilter(*told)])),
        "delete a password": _only(
            admin.alter_user_scram_credentials([UserScramCredentialDeletion("nobody", ScramMechanism.SCRAM_SHA_512)])
        ),
    }
    found = {what: _permitted(future) for what, future in asked.items()}
    # The broker's own words: the client library looks for leaders first, and shows a refusal as an empty list.
    described = _asked(user, DescribeAclsRequest(1, None, 1, None, None, 1, 1))
    found["describe rights"] = _allowed(KafkaError(described.error_code))
    [(_, [partition], *_)] = _asked(user, DeleteRecordsRequest([(topic, [(0, 0)])], 10_000)).topics
    found["delete records"] = _allowed(KafkaError(partition[2]))
    # Last, and taken back at once: a right of nobody's to nothing.
    found["create rights"] = _permitted(_only(admin.create_acls([AclBinding(*told)])))
    if found["create rights"]:
        _only(admin.delete_acls([AclBindingFilter(*told)])).result(WITHIN_S)
    return found


def _sets(admin: AdminClient, kind: ResourceType, name: str, setting: str, value: str) -> Future[Any]:
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(kind, name, incremental_configs=[entry])
    return _only(admin.incremental_alter_configs([resource], validate_only=True))


def _only(futures: dict[Any, Future[Any]]) -> Future[Any]:
    [future] = futures.values()
    return future


def _permitted(future: Future[Any]) -> bool:
    """Whatever else is the matter with the request, it was not refused for who asked."""
    try:
        future.result(WITHIN_S)
    except KafkaException as error:
        if error.args[0].code() in _UNANSWERED:
            raise Undecided(error.args[0].name()) from None
        return error.args[0].code() not in _FORBIDDEN
    return True


@asynccontextmanager
async def entered(
    address: str, user: str, password: str, mechanism: str = "SCRAM-SHA-512"
) -> AsyncIterator[AIOKafkaConnection]:
    """A connection that has said who it is. Raises SaslAuthenticationFailed, UnsupportedSaslMechanismError."""
    host, _, port = address.rpartition(":")
    connection = await create_conn(
        host,
        int(port),
        request_timeout_ms=int(WITHIN_S * 1000),
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        sasl_plain_username=user,
        sasl_plain_password=password,
    )
    try:
        yield connection
    finally:
        connection.close()


def _answered(user: User, request: Request[Any]) -> bool:
    """The broker's own word: a client library would not even ask for what its metadata does not show."""
    [(_, [partition])] = _asked(user, request).topics
    return _allowed(KafkaError(partition[1]))


def _asked(user: User, request: Request[Any]) -> Any:
    async def ask() -> Any:
        async with entered(user.bootstrap, user.name, user.password) as connection:
            return await connection.send(request)

    return asyncio.run(ask())


def _done(user: User, ask: Callable[[AdminClient], dict[Any, Future[Any]]]) -> bool:
    admin = user.administer()  # held until it answers: a client that is gone answers nothing
    [future] = ask(admin).values()
    try:
        future.result(WITHIN_S)
    except KafkaException as error:
        return _allowed(error.args[0])
    return True


def _allowed(error: KafkaError | None) -> bool:
    if error is None or error.code() in {KafkaError.NO_ERROR, *_PASSED}:
        return True
    if error.code() in _REFUSED:
        return False
    raise Undecided(error.name())
