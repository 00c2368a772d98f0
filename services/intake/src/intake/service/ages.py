"""Her age, as the case's current records tell it. It decides who must consent, and what a child's case never shares.

A birth date that is corrected later corrects the grants with it: whether they have every decider follows from what is
known of her now, not from a slip of the pen on the day they were taken.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from amanat.consent import ADULT, Grant
from amanat.contracts.records import Person, Record
from intake.changes import Document

# Pakistan's standard time all year: her birthday begins there, not in Greenwich (as in amanat.consent.age_rules).
_LOCAL = timedelta(hours=5)


def person_of(documents: Sequence[Document]) -> Person | None:
    """The newest of the case's current records that tells her age; None when none does."""
    return newest_telling_age(document.record for document in reversed(documents))


def newest_telling_age(records: Iterable[Record]) -> Person | None:
    """The first of these records, newest first, that tells her age."""
    return next(
        (
            record
            for record in records
            if isinstance(record, Person) and (record.birth_date is not None or record.age_years_stated is not None)
        ),
        None,
    )


def age_in_years(person: Person | None, now: datetime) -> int | None:
    """Completed years by the birth date, else the age stated, else None."""
    if person is None:
        return None
    if person.birth_date is not None:
        born, today = person.birth_date, (now + _LOCAL).date()
        return max(0, today.year - born.year - ((today.month, today.day) < (born.month, born.day)))
    return person.age_years_stated


def is_minor(person: Person | None, now: datetime) -> bool:
    """Whether she counts as a child; an unknown age does (amanat.categories.may_reach)."""
    age = age_in_years(person, now)
    return age is None or age < ADULT


def adult_on(person: Person | None) -> date | None:
    """Her 18th birthday, where the birth date is known; a 29 February becomes 1 March."""
    if person is None or person.birth_date is None:
        return None
    born = person.birth_date
    try:
        return born.replace(year=born.year + ADULT)
    except ValueError:
        return date(born.year + ADULT, 3, 1)


def by_age(grants: frozenset[Grant], person: Person | None) -> frozenset[Grant]:
    """The grants as they stand by what is known of her age now.

    A birth date says how old she was at each grant. A stated age fills in an unknown one and may lower, never raise
    one: of two stated ages the lower asks for more deciders.
    """
    if person is None:
        return grants
    return frozenset(_by_age(grant, person) for grant in grants)


def _by_age(grant: Grant, person: Person) -> Grant:
    if person.birth_date is not None:
        age = age_in_years(person, grant.given_at)
    elif grant.age_years_at_grant is None:
        age = person.age_years_stated
    else:
        age = _lower(grant.age_years_at_grant, person.age_years_stated)
    return grant.model_copy(update={"age_years_at_grant": age, "adult_on": adult_on(person) or grant.adult_on})


def _lower(at_grant: int, stated: int | None) -> int:
    return at_grant if stated is None else min(at_grant, stated)
