"""Which groups read which topics, and how a group is set back to a topic's earliest event.

Kafka sets a group back only while none of its members runs: the processes that read as it are stopped before, and
started after. Events that come again take effect once: each reader's inbox knows what it had.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from amanat.categories import OUTSIDE, Agency

WAIT_S = 10.0
"""Kafka keeps the place of a member that has just ended for six seconds: it may only be restarting."""
SETTLES_S = 60.0
"""A broker that has just begun with an empty disk first makes the topic in which it keeps its groups."""
_ASK_S = 20
_AGAIN_S = 0.5
_STILL_MEMBERS = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP, KafkaError.REBALANCE_IN_PROGRESS)
_SETTLING = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
_LEDGER = "-ledger"


class NotSetBack(Exception):
    """Why the groups stand where they stood: a line for the operator."""


def topics_of(service: Agency) -> dict[str, list[str]]:
    """What a service reads, by group: an agency its disclosures, the gate all facts, each the others' checkpoints."""
    own = [f"facts.{agency}" for agency in sorted(OUTSIDE)] if service is Agency.INTAKE else [f"disclosures.{service}"]
    checkpoints = [f"checkpoints.{other}" for other in sorted(Agency) if other is not service]
    return {service.value: own, f"{service}{_LEDGER}": checkpoints}


def groups_of(topic: str) -> list[str]:
    """All groups that read a topic; none if it is no topic of the platform."""
    reading = (topics_of(service) for service in sorted(Agency))
    return [group for groups in reading for group, topics in groups.items() if topic in topics]


def readers_of(topics: Iterable[str]) -> dict[str, list[str]]:
    """The groups that read any of these topics, each with those that it reads."""
    readers: dict[str, list[str]] = {}
    for topic in topics:
        for group in groups_of(topic):
            readers.setdefault(group, []).append(topic)
    return readers


def process_of(group: str) -> str:
    """Who reads as a group, as an operator knows it."""
    service = group.removesuffix(_LEDGER)
    return "the gate" if service == Agency.INTAKE else f"the worker of {service}"


def sent_by(service: Agency) -> list[tuple[str, str]]:
    """Whose outbox holds what a service reads besides checkpoints: (service, topic)."""
    if service is Agency.INTAKE:
        return [(agency.value, f"facts.{agency}") for agency in sorted(OUTSIDE)]
    return [(Agency.INTAKE.value, f"disclosures.{service}")]


def set_back(admin: AdminClient, readers: Mapping[str, Collection[str]], *, wait_s: float = WAIT_S) -> None:
    """Sets groups back to the earliest events of topics, {group: topics}: all of them, or none while one is read.

    Waits up to `wait_s` for members that have just ended, and longer for a broker that has just begun. Raises
    NotSetBack.
    """
    began = time.monotonic()

    def wait_for(groups: Iterable[str], why: KafkaError | None) -> None:
        if why is None or why.code() in _STILL_MEMBERS:
            longest, line = wait_s, f"{_named(groups)} must be stopped first"
        else:
            longest, line = SETTLES_S if why.code() in _SETTLING else 0.0, f"Kafka says {why.name()}"
        if time.monotonic() > began + longest:
            raise NotSetBack(line)
        time.sleep(_AGAIN_S)

    try:
        # Where 0 is no longer kept, it is out of range, and readers are set to begin at the earliest event then.
        earliest = {
            group: [TopicPartition(topic, number, 0) for topic in topics for number in _partitions(admin, topic)]
            for group, topics in readers.items()
        }
        while in_the_way := _running(admin, readers):
            read = [group for group, why in in_the_way.items() if why is None]
            wait_for(read or in_the_way, None if read else next(iter(in_the_way.values())))
        for group, partitions in earliest.items():
            while (why := _refused(admin, group, partitions)) is not None:
                wait_for([group], why)
    except KafkaException as error:
        raise NotSetBack(f"Kafka says {error.args[0].name()}") from error


def _partitions(admin: AdminClient, topic: str) -> list[int]:
    described = admin.list_topics(topic, timeout=_ASK_S).topics[topic]
    if described.error is not None:
        if described.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise NotSetBack(f"Kafka has no topic {topic}: the topics and their ACLs are made first")
        raise KafkaException(described.error)
    return sorted(described.partitions)


def _running(admin: AdminClient, groups: Iterable[str]) -> dict[str, KafkaError | None]:
    """The groups that have members, and those of which the broker cannot tell yet, with what it says instead."""
    running: dict[str, KafkaError | None] = {}
    for group, answer in admin.describe_consumer_groups(list(groups), request_timeout=_ASK_S).items():
        try:
            if answer.result(_ASK_S).members:
                running[group] = None
        except KafkaException as error:
            why = error.args[0]
            if why.code() in _SETTLING:
                running[group] = why
            # No such group yet; or the embedded stack's broker, which only says so when it is asked to set one back.
            elif why.code() not in {KafkaError.GROUP_ID_NOT_FOUND, KafkaError._UNSUPPORTED_FEATURE}:
                raise
    return running


def _refused(admin: AdminClient, group: str, partitions: list[TopicPartition]) -> KafkaError | None:
    asked = [ConsumerGroupTopicPartitions(group, partitions)]
    (outcome,) = admin.alter_consumer_group_offsets(asked, request_timeout=_ASK_S).values()
    try:
        done = outcome.result(_ASK_S).topic_partitions
    except KafkaException as error:
        why: KafkaError = error.args[0]
        return why
    return next((each.error for each in done if each.error is not None), None)


def _named(groups: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(process_of(group) for group in sorted(groups)))
