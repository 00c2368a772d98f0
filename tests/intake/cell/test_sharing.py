"""What leaves is never more than the ceiling's share of valid grants: whatever is given, taken back, or runs out."""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from amanat import sealing
from amanat.categories import PERSONAL, Agency, Category, may_reach
from amanat.codes import PREFIX, new_code
from amanat.consent import AgeRules, ConsentGiven, ConsentWithdrawn, GrantTerms, fold
from amanat.contracts.disclosures import (
    CategoryDisclosed,
    CategoryWithdrawn,
    DisclosedRecords,
    KitAnnounced,
    ReferralOpened,
)
from amanat.contracts.records import RECORDS, project
from amanat.kek import RequestSecret, unwrap
from intake.changes import Changes, Document, Referral
from intake.service.setting import Minter, Setting
from intake.service.sharing import amend, announce_kit, plan

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
AGENCIES = (Agency.POLICE_LINK, Agency.FORENSICS, Agency.LEGAL_AID)
PURPOSE = {
    Agency.POLICE_LINK: "investigation", Agency.FORENSICS: "forensic_analysis",
    Agency.LEGAL_AID: "legal_representation",
}  # fmt: skip
RULES = AgeRules.load()
WRITTEN = (
    ("person", {"full_name": "A"}),
    ("safe_contact", {"number": "1"}),
    ("incident", {"history": "h", "acts": ("rape",)}),
    ("examination", {"general_condition": "g", "hiv_test": "not_done", "samples": ({"site": "HVS"},)}),
    ("care_note", {"notes": "n"}),
    ("counselling_note", {"notes": "n"}),
    ("image", {"description": "d"}),
    ("fir", {"fir_number": "1", "io_phone": "2"}),
    ("laboratory_report", {"findings": "f", "pregnancy_finding": "p"}),
    ("assignment", {"counsel_name": "c"}),
)


class OpenKek:
    """A key-encryption key that hides nothing: the test plays the gate."""

    def __init__(self) -> None:
        self.secrets: list[bytes] = []

    def current(self) -> int:
        return 1

    def seal(self, _: int, secret: bytes) -> bytes:
        self.secrets.append(secret)
        return secret


class Cell(RuleBasedStateMachine):
    """One case with three referrals, driven at random; the oracle knows grants only as what was told to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.minor = False
        self.events: list[Any] = []
        self.documents: list[Document] = []
        self.barcodes: list[str] = []
        self.referrals = {
            agency: Referral(
                new_code(PREFIX[agency], os.urandom),
                agency,
                "ours",
                PURPOSE[agency],
                "waiting_for_consent",
                0,
                1,
                {},
                {},
            )
            for agency in AGENCIES
        }
        self.ever: dict[str, bool] = defaultdict(bool)
        self.epochs: dict[tuple[str, Category], int] = defaultdict(int)
        self.dead: dict[tuple[str, Category], int] = defaultdict(int)
        self.seqs: dict[str, int] = defaultdict(int)
        self.ids = 0
        self.kek = OpenKek()

    def new_id(self) -> UUID:
        self.ids += 1
        return UUID(int=self.ids, version=4)

    def allowed(self, agency: Agency) -> set[Category]:
        """The oracle: ceiling ∩ grants that are valid now, from the events alone."""
        found: set[Category] = set()
        for event in self.events:
            if not isinstance(event, ConsentGiven):
                continue
            terms = event.terms
            lapsed = terms.expires_at is not None and terms.expires_at <= self.now
            decided = terms.basis == "court_order" or any(d.decision == "consent" for d in terms.deciders)
            addressed = (terms.recipient.agency, terms.recipient.organisation) == (agency, "ours")
            if not addressed or terms.purpose not in (None, PURPOSE[agency]) or lapsed or not decided:
                continue
            taken: set[Category] = set()
            for other in self.events:
                if isinstance(other, ConsentWithdrawn) and other.consent_id == event.consent_id:
                    taken |= set(other.categories or terms.categories)
            found |= set(terms.categories) - taken
        return {category for category in found if may_reach(category, agency, adult=not self.minor)}

    def bring(self, *, opens: bool, touched: tuple[Document, ...] = (), barcode: str | None = None) -> None:
        self.kek = OpenKek()
        minter = Minter(lambda: RequestSecret.new(self.kek, os.urandom), os.urandom)
        setting = Setting(
            self.now, self.minor, self.barcodes, minter, self.new_id, lambda _: 30.0, RULES, opens=opens
        )  # fmt: skip
        for agency, referral in self.referrals.items():
            changes = Changes()
            after = plan(changes, referral, fold(self.events), self.documents, setting)
            after = amend(changes, after, self.documents, touched, setting)
            if barcode is not None:
                after = announce_kit(changes, after, barcode, setting)
            self.check(agency, after, changes, opens)
            self.referrals[agency] = after

    def check(self, agency: Agency, after: Referral, changes: Changes, opens: bool) -> None:
        allowed = self.allowed(agency)
        assert set(after.shares) <= allowed
        if opens:
            assert set(after.shares) == allowed
        self.ever[after.code] |= bool(allowed)
        keys = {key.key_id: key for key in changes.keys}
        for outgoing in changes.outgoing:
            event = outgoing.event
            assert self.ever[after.code], "a message without a grant"
            assert outgoing.seq == self.seqs[after.code] + 1
            self.seqs[after.code] = outgoing.seq
            if isinstance(event, CategoryWithdrawn):
                self.dead[after.code, event.category] = event.epoch
            elif isinstance(event, CategoryDisclosed):
                assert event.category in allowed
                assert event.epoch > self.dead[after.code, event.category]
                assert event.epoch >= self.epochs[after.code, event.category]
                self.epochs[after.code, event.category] = event.epoch
                self.opened_holds_no_more(agency, outgoing.event_id, event, keys[event.key_id])
            else:
                assert isinstance(event, KitAnnounced | ReferralOpened)
                assert allowed
        assert all(after.shares.get(key.category) for key in changes.keys)

    def opened_holds_no_more(self, agency: Agency, event_id: UUID, event: CategoryDisclosed, key: Any) -> None:
        secret = self.secret_of(key)
        aad = sealing.associated_data(
            referral=event.referral, category=event.category, event_id=event_id, contract=event.contract,
            key_id=event.key_id, epoch=event.epoch,
        )  # fmt: skip
        content = DisclosedRecords.parse(sealing.open_sealed(unwrap(secret, key.key_id, key.wrap), event.sealed, aad))
        expected = []
        for document in self.documents:
            if (document.author_agency, document.author_organisation) == (agency, "ours"):
                continue
            fields = project(document.record, event.category, agency, adult=not self.minor)
            if fields:
                expected.append((document.record_id, fields))
        assert [(record.record_id, record.fields) for record in content.records] == expected

    def secret_of(self, key: Any) -> bytes:
        for secret in self.kek.secrets:
            try:
                unwrap(secret, key.key_id, key.wrap)
            except sealing.Unopenable:
                continue
            return secret
        raise AssertionError("a key that nobody can unwrap")

    @rule(
        agency=st.sampled_from(AGENCIES),
        organisation=st.sampled_from(["ours", "ours", "theirs"]),
        categories=st.frozensets(st.sampled_from(sorted(PERSONAL)), min_size=1),
        decided=st.booleans(),
        basis=st.sampled_from(["consent", "court_order"]),
        purpose=st.sampled_from([None, None, "another_purpose"]),
        lasts=st.none() | st.integers(1, 200),
    )
    def give(self, agency: Agency, organisation: str, categories: Any, decided: bool, basis: str, purpose: Any,
             lasts: int | None) -> None:  # fmt: skip
        terms = GrantTerms.model_validate(
            {
                "recipient": {"agency": agency, "organisation": organisation},
                "categories": categories,
                "basis": basis,
                "basis_reference": "Order 1",
                "purpose": purpose or PURPOSE[agency],
                "deciders": [{"role": "survivor", "decision": "consent" if decided else "assent"}],
                "given_at": self.now,
                "expires_at": None if lasts is None else self.now + timedelta(minutes=lasts),
            }
        )
        self.events.append(ConsentGiven(consent_id=self.new_id(), terms=terms, age_years=30, recorded_at=self.now))
        self.bring(opens=True)

    @rule(
        number=st.integers(0, 99), categories=st.none() | st.frozensets(st.sampled_from(sorted(PERSONAL)), min_size=1)
    )
    def withdraw(self, number: int, categories: Any) -> None:
        consents = [event for event in self.events if isinstance(event, ConsentGiven)]
        if consents:
            chosen = consents[number % len(consents)]
            self.events.append(
                ConsentWithdrawn(
                    consent_id=chosen.consent_id, agency=chosen.terms.recipient.agency, categories=categories,
                    withdrawn_at=self.now,
                )
            )  # fmt: skip
            self.bring(opens=False)

    @rule(minutes=st.integers(1, 120))
    def time_passes_and_the_gate_sweeps(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        self.bring(opens=False)

    @rule(minutes=st.integers(1, 120), written=st.sampled_from(WRITTEN), author=st.sampled_from([*AGENCIES, "intake"]))
    def something_is_recorded(self, minutes: int, written: tuple[str, dict[str, Any]], author: str) -> None:
        self.now += timedelta(minutes=minutes)
        kind, content = written
        document = Document(
            self.new_id(), kind, RECORDS[kind].model_validate(content), self.now, Agency(author), "ours"
        )
        self.documents.append(document)
        self.bring(opens=False, touched=(document,))

    @rule(number=st.integers(0, 99))
    def something_is_corrected_away(self, number: int) -> None:
        if self.documents:
            gone = self.documents.pop(number % len(self.documents))
            self.bring(opens=False, touched=(gone,))

    @rule()
    def a_kit_is_opened(self) -> None:
        self.barcodes = [*self.barcodes, f"KIT-{len(self.barcodes):06}"]
        self.bring(opens=False, barcode=self.barcodes[-1])

    @rule()
    def her_age_turns_out_otherwise(self) -> None:
        self.minor = not self.minor
        self.bring(opens=True)

    @invariant()
    def closed_means_nothing_is_shared(self) -> None:
        for referral in self.referrals.values():
            assert (referral.state == "open") == bool(referral.shares)


TestWhateverHappens = Cell.TestCase
TestWhateverHappens.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
