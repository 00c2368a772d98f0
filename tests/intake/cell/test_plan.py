"""Edges of a plan: what an empty one does, epochs after a restore, and bases that end at different times."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from amanat.categories import Agency, Category
from amanat.consent import AgeRules, ConsentGiven, GrantTerms, fold
from amanat.contracts.records import Person
from amanat.kek import RequestSecret
from intake.changes import Changes, Document, Referral
from intake.service.setting import Minter, Setting
from intake.service.sharing import amend, announce_kit, plan

from .test_sharing import OpenKek

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
RULES = AgeRules.load()


def _grant(*categories: str, **more: Any) -> ConsentGiven:
    terms = {
        "recipient": {"agency": "police-link", "organisation": "ours"}, "categories": list(categories),
        "basis": "consent", "deciders": [{"role": "survivor", "decision": "consent"}], "given_at": START, **more,
    }  # fmt: skip
    return ConsentGiven(
        consent_id=UUID(int=7, version=4), terms=GrantTerms.model_validate(terms), age_years=30, recorded_at=START
    )


def _setting(**changes: Any) -> Setting:
    minter = Minter(lambda: RequestSecret.new(OpenKek(), os.urandom), os.urandom)
    made = Setting(START, False, (), minter, lambda: UUID(bytes=os.urandom(16), version=4), lambda _: 30.0, RULES)
    return replace(made, **changes)


POLICE = Referral("P-7KQ2-M4XD-3", Agency.POLICE_LINK, "ours", "investigation", "waiting_for_consent", 0, 1, {}, {})


def test_a_plan_without_a_grant_is_empty() -> None:
    changes = Changes()
    assert plan(changes, POLICE, frozenset(), [], _setting()) == POLICE
    assert (changes.outgoing, changes.keys, changes.timeline, changes.ledger) == ([], [], [], [])


@given(floor=st.integers(0, 5000), last=st.integers(0, 5000))
@settings(max_examples=30, deadline=None)
def test_after_a_restore_no_epoch_that_may_have_been_seen_comes_again(floor: int, last: int) -> None:
    referral = replace(POLICE, epoch_floor=floor, last_epochs={Category.IDENTITY: last})
    after = plan(Changes(), referral, fold([_grant("identity")]), [], _setting())
    assert after.shares[Category.IDENTITY].epoch > max(floor, last)


def test_two_bases_end_with_the_later_and_one_without_end_has_none() -> None:
    soon, later = START + timedelta(hours=1), START + timedelta(hours=2)
    first = _grant("identity", expires_at=soon)
    second = _grant("identity", expires_at=later).model_copy(update={"consent_id": UUID(int=8, version=4)})
    endless = _grant("identity").model_copy(update={"consent_id": UUID(int=9, version=4)})
    both = plan(Changes(), POLICE, fold([first, second]), [], _setting())
    assert both.shares[Category.IDENTITY].until == later
    assert plan(Changes(), both, fold([first, endless]), [], _setting()).shares[Category.IDENTITY].until is None


def test_nothing_is_sent_under_a_share_that_has_expired_though_no_plan_has_ended_it_yet() -> None:
    shared = plan(Changes(), POLICE, fold([_grant("identity", expires_at=START + timedelta(hours=1))]), [], _setting())
    document = Document(UUID(int=1, version=4), "person", Person(full_name="A"), START, Agency.INTAKE, "a-cell")
    for late, messages in ((timedelta(minutes=59), 2), (timedelta(hours=1), 0)):
        changes, setting = Changes(), _setting(now=START + late)
        after = amend(changes, replace(shared, state="open"), [document], [document], setting)
        announce_kit(changes, after, "KIT-000001", setting)
        assert len(changes.outgoing) == messages
