"""Data categories, agencies and ceilings: which agency may *ever* receive a field, whatever is granted.

Source of the ceilings: our own design, after s.26 of the Anti-Rape Act 2021 (identity), and the WHO's and GBVIMS's
rules on release per sector. They are part of the contracts' types and not configuration: widening one is a reviewed
change of code, with its tests. Grants can only narrow them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """What kind of data a field holds. Every field of a contract carries exactly one, as `Annotated[T, Category.X]`."""

    OPERATIONAL = "operational"
    IDENTITY = "identity"
    CONTACT = "contact"
    INCIDENT = "incident"
    EXAMINATION = "examination"
    DIGITAL = "digital"
    IMAGERY = "imagery"
    CARE = "care"
    COUNSELLING = "counselling"
    INVESTIGATION = "investigation"
    LABORATORY = "laboratory"
    REPRESENTATION = "representation"


class Agency(StrEnum):
    """The agencies of the platform; the values stand in topics, tokens and the directory."""

    INTAKE = "intake"
    POLICE_LINK = "police-link"
    FORENSICS = "forensics"
    LEGAL_AID = "legal-aid"


OUTSIDE: frozenset[Agency] = frozenset(Agency) - {Agency.INTAKE}
"""The agencies that receive disclosures."""

PERSONAL: frozenset[Category] = frozenset(Category) - {Category.OPERATIONAL}
"""Every category that is sealed when it crosses and that a grant can name."""

_POLICE_AND_COUNSEL = frozenset({Agency.POLICE_LINK, Agency.LEGAL_AID})

CEILINGS: Mapping[Category, frozenset[Agency]] = {
    Category.OPERATIONAL: OUTSIDE,
    Category.IDENTITY: _POLICE_AND_COUNSEL,
    # Only if she names it: a grant's categories are always listed one by one, none implies another.
    Category.CONTACT: _POLICE_AND_COUNSEL,
    Category.INCIDENT: OUTSIDE,
    Category.EXAMINATION: OUTSIDE,
    Category.DIGITAL: OUTSIDE,
    # An adult's only; see `may_reach`.
    Category.IMAGERY: frozenset({Agency.POLICE_LINK}),
    Category.CARE: frozenset(),
    Category.COUNSELLING: frozenset(),
    Category.INVESTIGATION: OUTSIDE,
    Category.LABORATORY: OUTSIDE,
    Category.REPRESENTATION: _POLICE_AND_COUNSEL,
}
"""The outside agencies that a category may reach; intake, which holds the originals, is in none and may read all."""

ADULTS_ONLY: frozenset[Category] = frozenset({Category.IMAGERY})
"""Categories of a child that go to nobody through the platform."""


@dataclass(frozen=True)
class Reaches:
    """A field's own ceiling where it is narrower than its category's: `Annotated[T, Category.X, Reaches(Agency.Y)]`."""

    agencies: frozenset[Agency]

    def __init__(self, *agencies: Agency) -> None:
        object.__setattr__(self, "agencies", frozenset(agencies))


def may_reach(category: Category, agency: Agency, *, adult: bool) -> bool:
    """Whether `agency` may ever receive anything of `category`; `adult` is False too when her age is unknown."""
    if agency == Agency.INTAKE:
        return True
    if category in ADULTS_ONLY and not adult:
        return False
    return agency in CEILINGS[category]
