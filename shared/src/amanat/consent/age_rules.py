"""Who must have decided, by age: the versioned table of `amanat/law/age_rules.toml`."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from amanat import law
from amanat.consent.terms import Decider, Decision, Grant

ADULT = 18
"""s.2 of the Anti-Rape Act 2021: a child is under 18. The bands below it are the table's."""

_CONSENTED = frozenset({"consent", "guardian"})
_SUBSTITUTES = frozenset({"court_substitute", "child_protection_substitute"})
# Pakistan's standard time all year: her birthday begins there, not in Greenwich.
_LOCAL = timedelta(hours=5)


class Requirement(BaseModel):
    """One decider that a band asks for, and the decisions of theirs that count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["survivor", "guardian"]
    accepts: tuple[Decision, ...]


class Band(BaseModel):
    """The rule from one age up to the next band's; `source` and `mark` (V, G, D) say where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    from_age: int
    source: str
    mark: Literal["V", "G", "D"]
    required: tuple[Requirement, ...]
    substitute_when_excluded: bool = True

    @model_validator(mode="after")
    def _asks_for_someone(self) -> Self:
        if not self.required or any(not requirement.accepts for requirement in self.required):
            raise ValueError("a band asks for at least one decider")
        return self


class AgeRules(BaseModel):
    """One province's bands, oldest first; `*` stands for every province without a table of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    province: str
    bands: tuple[Band, ...]

    @model_validator(mode="after")
    def _covers_every_age(self) -> Self:
        ages = [band.from_age for band in self.bands]
        if ages != sorted(ages, reverse=True) or len(set(ages)) != len(ages) or ages[-1:] != [0]:
            raise ValueError("bands run from the oldest down to 0")
        return self

    @classmethod
    def load(cls, province: str = "*") -> Self:
        """The table of `province`, or the one of every province.

        Raises:
            pydantic.ValidationError: the table is not well formed; nothing is then granted.
            KeyError: there is neither.
        """
        content = law.table("age_rules")
        tables = {table["province"]: table["band"] for table in content["table"]}
        bands = tables[province] if province in tables else tables["*"]
        return cls.model_validate({"version": content["version"], "province": province, "bands": bands})

    def band(self, age_years: int) -> Band:
        """The band that an age falls in."""
        return next(band for band in self.bands if age_years >= band.from_age)


@cache
def age_rules(province: str = "*") -> AgeRules:
    """`AgeRules.load`, read once."""
    return AgeRules.load(province)


def missing_deciders(grant: Grant, rules: AgeRules) -> tuple[str, ...]:
    """What the grant lacks to be valid, as constant words; empty when every decider has decided.

    The words: `age` (unknown, so no rule can be chosen), `capacity` (her decision waits for her), `survivor`,
    `guardian`, `substitute` (a court's or child-protection's in the place of an excluded guardian, with its authority's
    reference), and `basis_reference` (a court order or statutory duty that names none).
    """
    if grant.basis not in _CONSENTED:
        return () if (grant.basis_reference or "").strip() else ("basis_reference",)
    if grant.age_years_at_grant is None:
        return ("age",)
    band = rules.band(grant.age_years_at_grant)
    missing: list[str] = []
    for requirement in band.required:
        if requirement.role == "survivor":
            if not _decided(grant, "survivor", requirement.accepts):
                missing.append("survivor")
            elif grant.capacity != "present":
                missing.append("capacity")
        elif _substituted(grant, requirement.accepts):
            continue
        elif grant.guardian_excluded:
            if band.substitute_when_excluded:
                missing.append("substitute")
        elif not _decided(grant, "guardian", requirement.accepts):
            missing.append("guardian")
    return tuple(missing)


def ends_at(grant: Grant) -> datetime | None:
    """When the grant ends by itself: its expiry, or the day she turns 18, when she is asked again; None for neither.

    Where her 18th birthday is unknown, it is counted in whole years from her age at the grant: the latest it can be.
    """
    ends = [grant.expires_at] if grant.expires_at is not None else []
    age = grant.age_years_at_grant
    if grant.basis in _CONSENTED and age is not None and age < ADULT:
        birthday = grant.adult_on or _years_later((grant.given_at + _LOCAL).date(), ADULT - age)
        ends.append(datetime.combine(birthday, time(), UTC) - _LOCAL)
    return min(ends, default=None)


def _decided(grant: Grant, role: str, accepts: tuple[Decision, ...]) -> bool:
    return any(decider.role == role and decider.decision in accepts for decider in grant.deciders)


def _substituted(grant: Grant, accepts: tuple[Decision, ...]) -> bool:
    return any(_is_substitute(decider) and decider.decision in accepts for decider in grant.deciders)


def _is_substitute(decider: Decider) -> bool:
    return decider.role in _SUBSTITUTES and bool((decider.authority_reference or "").strip())


def _years_later(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)
