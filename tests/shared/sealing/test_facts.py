"""Facts towards the gate: only the gate opens them, and only as the agency signed them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amanat.codes import new_code
from amanat.contracts.base import SealedFact
from amanat.contracts.police_link import FirRegistered, ReferralAcknowledged
from amanat.contracts.records.police import Fir
from amanat.contracts.withdrawals import TombstoneConfirmed, TombstonesReported
from amanat.directory import Directory
from amanat.facts import SUITE, BadFact, BadSigningKey, FactOpener, FactSealer

pytestmark = pytest.mark.attack


class Attributes(TypedDict):
    event_id: UUID
    type: str
    referral: str
    time: datetime


class Altered(TypedDict, total=False):
    event_id: UUID
    type: str
    referral: str
    time: datetime


REFERRAL = new_code("P", lambda n: b"\x01" * n)
OTHER_REFERRAL = new_code("P", lambda n: b"\x02" * n)
FACT = FirRegistered(referral=REFERRAL, record=Fir(fir_number="214/2025", io_name="SI Nasreen"))
ATTRIBUTES = Attributes(
    event_id=UUID(int=5), type=FACT.type, referral=REFERRAL, time=datetime(2025, 3, 1, 10, 20, 30, 123456, tzinfo=UTC)
)


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Keys:
    """Two agencies' signing keys, the gate's facts keys (newest first), and the files that hold them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signing = {agency: Ed25519PrivateKey.generate() for agency in ("police-link", "legal-aid")}
        self.facts = {"facts-2": X25519PrivateKey.generate(), "facts-1": X25519PrivateKey.generate()}
        self.facts_dir = folder / "facts"
        self.facts_dir.mkdir()
        for name, key in self.facts.items():
            (self.facts_dir / f"{name}.key").write_text(b64(key.private_bytes_raw()) + "\n")

    def directory(self, *, newest_first: tuple[str, ...] = ("facts-2", "facts-1")) -> Directory:
        def agency(name: str, purpose: str) -> dict[str, Any]:
            keys = [{"id": f"{name}-1", "public_key": b64(self.signing[name].public_key().public_bytes_raw())}]
            return {
                "name": {"en": name, "ur": name},
                "purpose": purpose,
                "organisations": [],
                "signing_keys": keys,
            }

        document = {
            "version": 1,
            "cells": [],
            "agencies": {
                "police-link": agency("police-link", "investigation"),
                "legal-aid": agency("legal-aid", "legal_representation"),
            },
            "gate": {
                "facts_keys": [
                    {"id": name, "public_key": b64(self.facts[name].public_key().public_bytes_raw())}
                    for name in newest_first
                ]
            },
        }
        path = self.folder / "directory.json"
        path.write_text(json.dumps(document))
        return Directory.load(path)

    def signing_file(self, key: Any) -> Path:
        path = self.folder / "signing.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path

    def sealer(self, agency: str = "police-link") -> FactSealer:
        return FactSealer(agency, self.signing[agency], self.directory())

    def opener(self) -> FactOpener:
        return FactOpener.from_dir(self.facts_dir, self.directory())


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def test_the_gate_opens_what_the_agency_sealed(keys: Keys) -> None:
    sealed = FactSealer.from_files(
        "police-link", keys.signing_file(keys.signing["police-link"]), keys.directory()
    ).seal(FACT, **ATTRIBUTES)
    assert (sealed.type, sealed.referral) == (FACT.type, REFERRAL)
    assert (sealed.key_id, sealed.signing_key_id) == ("facts-2", "police-link-1")
    assert keys.opener().open("police-link", sealed, **ATTRIBUTES) == FACT


def test_it_survives_the_wire_and_another_writing_of_the_same_instant(keys: Keys) -> None:
    sealed = keys.sealer().seal(FACT, **ATTRIBUTES)
    arrived = SealedFact.carrying(FACT.type).parse(sealed.body())
    karachi = ATTRIBUTES["time"].astimezone(timezone(timedelta(hours=5)))
    assert keys.opener().open("police-link", arrived, **Attributes(**{**ATTRIBUTES, "time": karachi})) == FACT


def test_nothing_of_the_fact_can_be_read_on_the_wire(keys: Keys) -> None:
    sealed = keys.sealer().seal(FACT, **ATTRIBUTES)
    assert b"Nasreen" not in sealed.body()
    assert b"Nasreen" not in sealed.sealed


@pytest.mark.parametrize(
    "altered",
    [
        {"type": ReferralAcknowledged.type},
        {"type": "pk.amanat.never-heard-of.v1"},
        {"referral": OTHER_REFERRAL},
        {"event_id": UUID(int=6)},
        {"time": ATTRIBUTES["time"] + timedelta(microseconds=1)},
        {"time": ATTRIBUTES["time"].replace(tzinfo=None)},
    ],
)
def test_a_fact_with_any_altered_attribute_is_refused(keys: Keys, altered: Altered) -> None:
    sealed = keys.sealer().seal(FACT, **ATTRIBUTES)
    with pytest.raises(BadFact):
        keys.opener().open("police-link", sealed, **Attributes(**{**ATTRIBUTES, **altered}))


def test_a_fact_whose_referral_was_altered_in_both_places_is_refused(keys: Keys) -> None:
    sealed = keys.sealer().seal(FACT, **ATTRIBUTES).model_copy(update={"referral": OTHER_REFERRAL})
    with pytest.raises(BadFact):
        keys.opener().open("police-link", sealed, **Attributes(**{**ATTRIBUTES, "referral": OTHER_REFERRAL}))
    with pytest.raises(BadFact):
        keys.opener().open("police-link", sealed, **ATTRIBUTES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_fact_with_any_changed_byte_is_refused(keys: Keys, data: st.DataObject) -> None:
    sealed = keys.sealer().seal(FACT, **ATTRIBUTES)
    body = bytearray(sealed.sealed)
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(body) - 1))
    for changed in (bytes(body), sealed.sealed[:cut]):
        with pytest.raises(BadFact):
            keys.opener().open("police-link", sealed.model_copy(update={"sealed": changed}), **ATTRIBUTES)


def test_another_agency_s_fact_is_refused_whichever_agency_it_is_held_for(keys: Keys) -> None:
    confirmed = TombstoneConfirmed(referral=REFERRAL, category="incident", epoch=1, confirmed_at=ATTRIBUTES["time"])
    attributes = Attributes(**{**ATTRIBUTES, "type": confirmed.type})
    sealed = keys.sealer("legal-aid").seal(confirmed, **attributes)
    assert keys.opener().open("legal-aid", sealed, **attributes) == confirmed
    for key_id in ("legal-aid-1", "police-link-1"):
        with pytest.raises(BadFact):
            keys.opener().open("police-link", sealed.model_copy(update={"signing_key_id": key_id}), **attributes)


def test_a_fact_signed_by_another_agency_under_this_one_s_name_is_refused(keys: Keys) -> None:
    forger = Keys.__new__(Keys)
    forger.__dict__.update(vars(keys))
    forger.signing = {"police-link": keys.signing["legal-aid"], "legal-aid": keys.signing["legal-aid"]}
    forged = forger.sealer().seal(FACT, **ATTRIBUTES)
    assert forged.signing_key_id == "police-link-1"
    with pytest.raises(BadFact):
        FactOpener(keys.facts, keys.directory()).open("police-link", forged, **ATTRIBUTES)


def test_a_type_that_is_not_this_agency_s_to_report_is_refused(keys: Keys) -> None:
    sealed = keys.sealer("legal-aid").seal(FACT, **ATTRIBUTES)
    with pytest.raises(BadFact):
        keys.opener().open("legal-aid", sealed, **ATTRIBUTES)


def test_who_only_knows_the_gate_s_public_key_cannot_make_a_fact(keys: Keys) -> None:
    sealed = keys.sealer().seal(FACT, **ATTRIBUTES)
    public = keys.facts["facts-2"].public_key()
    for inside in (b"", b"\0" * 64, b"\0" * 64 + FACT.body()):
        forged = sealed.model_copy(update={"sealed": SUITE.encrypt(inside, public)})
        with pytest.raises(BadFact):
            keys.opener().open("police-link", forged, **ATTRIBUTES)


def test_a_fact_sealed_to_an_older_facts_key_still_opens(keys: Keys) -> None:
    before = FactSealer("police-link", keys.signing["police-link"], keys.directory(newest_first=("facts-1",)))
    sealed = before.seal(FACT, **ATTRIBUTES)
    assert sealed.key_id == "facts-1"
    assert keys.opener().open("police-link", sealed, **ATTRIBUTES) == FACT
    unknown = sealed.model_copy(update={"key_id": "facts-0"})
    with pytest.raises(BadFact):
        keys.opener().open("police-link", unknown, **ATTRIBUTES)


def test_all_tombstones_travel_as_one_fact_that_is_about_no_single_referral(keys: Keys) -> None:
    reported = TombstonesReported(request_id=UUID(int=1), tombstones=())
    attributes = Attributes(**{**ATTRIBUTES, "type": reported.type, "referral": "*"})
    sealed = keys.sealer().seal(reported, **attributes)
    assert keys.opener().open("police-link", sealed, **attributes) == reported


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": ReferralAcknowledged.type},
        {"referral": OTHER_REFERRAL},
        {"time": ATTRIBUTES["time"].replace(tzinfo=None)},
    ],
)
def test_an_agency_cannot_seal_a_fact_under_attributes_that_contradict_it(keys: Keys, wrong: Altered) -> None:
    with pytest.raises(ValueError, match=r"the event's|an event's"):
        keys.sealer().seal(FACT, **Attributes(**{**ATTRIBUTES, **wrong}))


def test_an_agency_does_not_start_with_a_key_that_the_directory_does_not_list(keys: Keys) -> None:
    stranger = keys.signing_file(Ed25519PrivateKey.generate())
    with pytest.raises(BadSigningKey):
        FactSealer.from_files("police-link", stranger, keys.directory())
    with pytest.raises(BadSigningKey):
        FactSealer.from_files("police-link", keys.signing_file(generate_ec(SECP256R1())), keys.directory())
    stranger.write_text("no PEM")
    with pytest.raises(BadSigningKey):
        FactSealer.from_files("police-link", stranger, keys.directory())


def test_the_gate_does_not_start_without_a_private_key_for_each_facts_key_it_publishes(keys: Keys) -> None:
    path = keys.facts_dir / "facts-1.key"
    kept = path.read_text()
    for wrong in (b64(X25519PrivateKey.generate().private_bytes_raw()), "no base64", b64(b"short")):
        path.write_text(wrong)
        with pytest.raises(BadSigningKey):
            keys.opener()
    path.unlink()
    with pytest.raises(BadSigningKey):
        keys.opener()
    path.write_text(kept)
    keys.opener()


def test_neither_side_shows_a_key_or_a_fact(keys: Keys) -> None:
    sealer, opener = keys.sealer(), keys.opener()
    shown = repr(sealer) + repr(opener)
    assert shown == (
        "FactSealer(agency='police-link', signing_key_id='police-link-1')FactOpener(key_ids=['facts-1', 'facts-2'])"
    )
    sealed = sealer.seal(FACT, **ATTRIBUTES)
    with pytest.raises(BadFact) as refused:
        opener.open("police-link", sealed, **Attributes(**{**ATTRIBUTES, "event_id": UUID(int=6)}))
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert REFERRAL not in str(refused.value)
