"""What ends a grant: a withdrawal, an excluded guardian, her eighteenth birthday; and what outlasts it."""

from datetime import UTC, date, datetime
from uuid import UUID

from amanat.consent import GuardianExcluded, ends_at, fold

from .consents import ASSENT, GUARDIAN, HERSELF, HOUR, NOW, consent, opened, withdrawal


def test_an_excluded_guardian_takes_the_grants_that_rest_on_that_guardian_along() -> None:
    given = consent(age=9, deciders=[ASSENT, GUARDIAN])
    assert opened(given) == {"identity", "incident"}
    assert opened(given, GuardianExcluded(guardian="g-1", at=NOW)) == set()
    assert opened(given, GuardianExcluded(guardian="g-2", at=NOW)) == {"identity", "incident"}
    assert opened(given, GuardianExcluded(at=NOW)) == set()


def test_a_withdrawal_takes_the_categories_it_names() -> None:
    assert opened(consent(), withdrawal(categories=["incident"])) == {"identity"}
    assert opened(consent(), withdrawal()) == set()
    assert opened(consent(), withdrawal(organisation="station-clifton")) == {"identity", "incident"}


def test_a_later_grant_stands_and_one_recorded_late_but_given_before_does_not() -> None:
    assert opened(consent(at=NOW + HOUR), withdrawal(), now=NOW + 2 * HOUR) == {"identity", "incident"}
    late = consent(at=NOW + HOUR, given_at=(NOW - HOUR).isoformat())
    assert opened(late, withdrawal(), now=NOW + 2 * HOUR) == set()


def test_a_date_in_the_future_does_not_outlive_a_withdrawal() -> None:
    dated_tomorrow = consent(given_at=(NOW + 24 * HOUR).isoformat())
    assert opened(dated_tomorrow, withdrawal(), now=NOW + 48 * HOUR) == set()


def test_a_withdrawal_by_id_ends_that_consent_whatever_its_basis_or_the_clocks() -> None:
    ordered = consent(basis="court_order", basis_reference="order 7", at=NOW + HOUR)
    assert opened(ordered, withdrawal(consent_id=UUID(int=1)), now=NOW + 2 * HOUR) == set()
    assert opened(ordered, withdrawal(consent_id=UUID(int=2)), now=NOW + 2 * HOUR) == {"identity", "incident"}


def test_a_court_order_outlasts_the_withdrawal_of_consent() -> None:
    ordered = consent(number=2, basis="court_order", basis_reference="order 7", categories=["incident"])
    assert opened(consent(), ordered, withdrawal()) == {"incident"}


def test_of_two_different_consents_under_one_id_neither_stands() -> None:
    assert opened(consent(), consent(categories=["identity"])) == set()


def test_at_eighteen_she_is_asked_again() -> None:
    birthday = date(2026, 4, 10)
    (grant,) = fold([consent(age=17, deciders=[HERSELF, GUARDIAN], adult_on=birthday)])
    # Midnight in Pakistan.
    assert ends_at(grant) == datetime(2026, 4, 9, 19, tzinfo=UTC)
    (unknown,) = fold([consent(age=17, deciders=[HERSELF, GUARDIAN])])
    assert ends_at(unknown) == datetime(2027, 2, 28, 19, tzinfo=UTC)
    (adult,) = fold([consent()])
    assert ends_at(adult) is None
