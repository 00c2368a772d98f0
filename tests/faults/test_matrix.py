"""Law 1 in the broker's own words: who may do what, tried by everybody on everything, and by nobody at every door."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiokafka.errors import SaslAuthenticationFailed, UnsupportedSaslMechanismError
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from counting import Count

from amanat_local.broker import AGENCIES, CHECKPOINTS, SERVICES, TOPICS
from amanat_local.stack import Stack

from .kafka_doors import (
    TOPIC,
    User,
    administering,
    answers_without_sasl,
    entered,
    may_delete_group,
    may_describe_group,
    may_join,
    may_read,
    offered_without_sasl,
)

pytestmark = [pytest.mark.stack, pytest.mark.real, pytest.mark.attack]

GATE = "intake-gate"
USERS = (GATE, *AGENCIES)
GROUPS = (*(f"{service}{kind}" for service in SERVICES for kind in ("", "-ledger")), "another")
Cell = tuple[str, str, str]
"""(user, what is done, to what)"""

READS = {"read", "describe", "list offsets"}
# Kafka cannot part them: a right to write is one to describe, and that one to list offsets.
WRITES = {"write", "describe", "list offsets"}
API_VERSIONS, SASL_HANDSHAKE = (18, 0), (17, 1)
SAYING_WHO = {17, 18, 36}
"""SaslHandshake, ApiVersions, SaslAuthenticate."""
# Produce, Fetch, ListOffsets, Metadata, OffsetCommit, OffsetFetch, FindCoordinator, JoinGroup, DescribeGroups,
# ListGroups, CreateTopics, DeleteTopics, DeleteRecords, DescribeAcls, CreateAcls, DescribeConfigs, AlterConfigs,
# DeleteGroups, IncrementalAlterConfigs, Vote, DescribeQuorum, Envelope, FetchSnapshot, DescribeCluster,
# UnregisterBroker, ListTransactions, ConsumerGroupHeartbeat, ShareGroupHeartbeat, ShareGroupDescribe, ShareFetch,
# ShareAcknowledge. Whatever else a door offers is asked too, in its lowest version and its highest.
EVERYTHING_ELSE = {
    0: 9, 1: 12, 2: 5, 3: 9, 8: 8, 9: 6, 10: 3, 11: 5, 15: 5, 16: 4, 19: 7, 20: 6, 21: 2, 29: 2, 30: 2, 32: 4,
    33: 2, 42: 2, 44: 1, 52: 0, 55: 0, 58: 0, 59: 0, 60: 0, 64: 0, 66: 0, 68: 1, 76: 1, 77: 1, 78: 1, 79: 1,
}  # fmt: skip
OFFERED = {
    "clients": {0, 1, 3, 8, 11, 19, 20, 21, 29, 30, 33, 42, 44, 60, 68, 76, 77, 78, 79},
    "controller": {1, 19, 20, 30, 33, 44, 52, 55, 58, 59},
}
"""What each door surely knows, though it does it for nobody in particular."""


@pytest.fixture(scope="module")
def users(stack: Stack) -> dict[str, User]:
    told = stack.info["kafka"]
    return {name: User(told["bootstrap"], name, password) for name, password in told["users"].items()}


def expected() -> set[Cell]:
    """All that is allowed."""
    allowed: set[Cell] = set()
    for agency in AGENCIES:
        mine, theirs = f"disclosures.{agency}", f"facts.{agency}"
        allowed |= {(agency, how, mine) for how in READS} | {(agency, how, theirs) for how in WRITES}
        allowed |= {(GATE, how, theirs) for how in READS} | {(GATE, how, mine) for how in WRITES}
    for service, user in (("intake", GATE), *((agency, agency) for agency in AGENCIES)):
        allowed |= {(user, how, f"checkpoints.{service}") for how in WRITES}
        allowed |= {(user, how, topic) for topic in CHECKPOINTS for how in READS}
    for service, user in (("intake", GATE), *((agency, agency) for agency in AGENCIES)):
        for group in (service, f"{service}-ledger"):
            allowed |= {(user, "join", group), (user, "describe group", group)}
    return allowed


def tried(user: User, a_topic: str, groups: Collection[str] = GROUPS) -> set[Cell]:
    """All that this user found allowed. `a_topic` is one that it may read, to join groups for."""
    found: set[Cell] = set()
    for topic in TOPICS:
        found |= {(user.name, how, topic) for how, attempt in TOPIC.items() if attempt(user, topic)}
    for group in groups:
        if may_join(user, group, a_topic):
            found.add((user.name, "join", group))
        if may_describe_group(user, group):
            found.add((user.name, "describe group", group))
        if may_delete_group(user, group):
            found.add((user.name, "delete group", group))
    return found


def test_every_user_may_do_what_the_first_law_says_and_nothing_else(users: dict[str, User], count: Count) -> None:
    readable = {user: "facts.forensics" if user == GATE else f"disclosures.{user}" for user in USERS}
    with ThreadPoolExecutor(max_workers=len(USERS)) as together:
        found = set().union(*together.map(lambda user: tried(users[user], readable[user]), USERS))
    wanted = expected()
    assert found - wanted == set()
    assert wanted - found == set()
    count("user × act × topic or group at the broker", len(USERS) * (len(TOPICS) * len(TOPIC) + len(GROUPS) * 3))


def test_the_administrator_is_refused_nothing_so_that_a_refusal_means_something(users: dict[str, User]) -> None:
    wanted = {("admin", how, topic) for topic in TOPICS for how in TOPIC}
    wanted |= {("admin", how, "another") for how in ("join", "describe group", "delete group")}
    # No other group: one whose worker is away just now would really be deleted.
    assert tried(users["admin"], "facts.forensics", ["another"]) == wanted


def test_one_right_too_many_is_found(users: dict[str, User]) -> None:
    topic, allowed, anything = "facts.forensics", AclPermissionType.ALLOW, ResourcePatternType.LITERAL
    planted = AclBinding(ResourceType.TOPIC, topic, anything, "User:police-link", "*", AclOperation.READ, allowed)
    filtered = AclBindingFilter(
        ResourceType.TOPIC, topic, anything, "User:police-link", "*", AclOperation.READ, allowed
    )
    admin = users["admin"].administer()
    for done in admin.create_acls([planted]).values():
        done.result(30)
    try:
        within_a_moment(lambda: may_read(users["police-link"], topic))
        found = tried(users["police-link"], "disclosures.police-link", ["police-link"])
        assert found - expected() == {("police-link", how, topic) for how in READS}
    finally:
        for done in admin.delete_acls([filtered]).values():
            done.result(30)
    within_a_moment(lambda: not may_read(users["police-link"], topic))


def within_a_moment(holds: Callable[[], bool]) -> None:
    """The broker applies a change of its rights a moment after it answered."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_topic_that_is_not_ones_own_is_not_even_seen(users: dict[str, User]) -> None:
    for user in USERS:
        seen = set(users[user].administer().list_topics(timeout=30).topics)
        assert seen == {topic for name, how, topic in expected() if name == user and how == "describe"}


def test_no_user_administers_anything(users: dict[str, User]) -> None:
    for user in USERS:
        own = f"facts.{user if user != GATE else 'forensics'}"
        assert {what for what, may in administering(users[user], own).items() if may} == set(), user


def test_the_administrator_administers_everything_so_that_a_refusal_means_something(users: dict[str, User]) -> None:
    assert {what for what, may in administering(users["admin"], "facts.forensics").items() if not may} == set()


@pytest.mark.parametrize("door", OFFERED)
def test_nobody_in_particular_may_ask_for_nothing_but_how_to_say_who_they_are(stack: Stack, door: str) -> None:
    address = stack.info["kafka"]["bootstrap"] if door == "clients" else stack.info["kafka_controller"]
    assert answers_without_sasl(address, *API_VERSIONS)
    offered = offered_without_sasl(address)
    assert offered.keys() >= OFFERED[door]
    # A version that the door does not know would be answered by nothing, whoever asked.
    known = {kind: offered[kind] for kind in EVERYTHING_ELSE.keys() & offered.keys()}
    assert {kind for kind, (low, high) in known.items() if not low <= EVERYTHING_ELSE[kind] <= high} == set()
    asked = set(EVERYTHING_ELSE.items())
    asked |= {(kind, version) for kind, ends in offered.items() if kind not in SAYING_WHO for version in ends}
    with ThreadPoolExecutor(max_workers=8) as together:
        answered = together.map(lambda each: each if answers_without_sasl(address, *each) else None, sorted(asked))
        assert {each for each in answered if each} == set()


async def test_a_wrong_password_another_agencys_and_any_users_at_the_controller_open_no_door(stack: Stack) -> None:
    told, controller = stack.info["kafka"], stack.info["kafka_controller"]
    passwords: dict[str, str] = told["users"]

    async def enter(address: str, user: str, password: str, mechanism: str = "SCRAM-SHA-512") -> None:
        async with entered(address, user, password, mechanism):
            pass

    for user, password in passwords.items():
        await enter(told["bootstrap"], user, password)
        for other in {*passwords.values(), "guess"} - {password}:
            with pytest.raises(SaslAuthenticationFailed):
                await enter(told["bootstrap"], user, other)
        with pytest.raises(UnsupportedSaslMechanismError):
            await enter(told["bootstrap"], user, password, "PLAIN")
        with pytest.raises(SaslAuthenticationFailed):
            await enter(controller, user, password, "PLAIN")
        with pytest.raises(UnsupportedSaslMechanismError):
            await enter(controller, user, password)
    with pytest.raises(SaslAuthenticationFailed):
        await enter(told["bootstrap"], "nobody", "guess")
    with pytest.raises(SaslAuthenticationFailed):
        await enter(controller, "controller", "guess", "PLAIN")
