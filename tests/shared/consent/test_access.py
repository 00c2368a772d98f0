"""Who may hold an access, and that it is made in no other way."""

import copy
import dataclasses
import pickle
from dataclasses import dataclass

import pytest

from amanat.categories import PERSONAL, Agency, Category
from amanat.consent import Access, decide, fold, from_lease, own

from .consents import NOW, consent


@dataclass(frozen=True)
class _Lease:
    agency: str
    organisation: str
    purpose: str
    categories: frozenset[str]


def test_a_lease_opens_its_categories_and_never_more_than_the_agencys_ceiling() -> None:
    access = from_lease(_Lease("forensics", "lab-karachi", "forensic_analysis", frozenset({"incident", "identity"})))
    assert access.categories == {Category.INCIDENT}
    assert (access.agency, access.organisation, access.basis) == (Agency.FORENSICS, "lab-karachi", "lease")


def test_own_records_stay_open_to_the_organisation_that_made_them() -> None:
    access = own(_Lease("police-link", "station-saddar", "", frozenset()))
    assert (access.categories, access.organisation, access.basis) == (PERSONAL, "station-saddar", "own")


def test_an_access_can_be_made_in_no_other_way() -> None:
    access = decide(fold([consent()]), PERSONAL, Agency.POLICE_LINK, "station-saddar", "investigation", NOW)
    with pytest.raises(TypeError):
        Access(Agency.POLICE_LINK, "station-saddar", "investigation", PERSONAL, None, "own")
    with pytest.raises(TypeError):
        dataclasses.replace(access, categories=PERSONAL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        access.categories = PERSONAL  # type: ignore[misc]  # the planted mistake
    with pytest.raises(TypeError):
        pickle.dumps(access)
    with pytest.raises(TypeError):
        copy.copy(access)
