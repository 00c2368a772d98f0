"""When webhooks are tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from police_link.webhooks.schedule import DELIVERY_RETRIES_S, HANDSHAKE_RETRIES_S, rest_until, retry_at

NOW = datetime(2026, 3, 1, tzinfo=UTC)
chances = st.floats(0, 1, exclude_max=True)


@given(chances)
def test_a_delivery_is_tried_ten_times_over_three_days_and_then_given_up(chance: float) -> None:
    at, attempts = NOW, 0
    while True:
        attempts += 1
        again = retry_at(attempts, at, chance, handshake=False)
        if again is None:
            break
        at = again
    assert attempts == 10
    assert timedelta(days=3) < at - NOW < timedelta(days=4)


@given(st.integers(1, len(DELIVERY_RETRIES_S)), chances)
def test_jitter_never_brings_an_attempt_forward_and_adds_a_fifth_at_most(attempts: int, chance: float) -> None:
    again = retry_at(attempts, NOW, chance, handshake=False)
    assert again is not None
    listed = DELIVERY_RETRIES_S[attempts - 1]
    assert listed <= (again - NOW).total_seconds() <= 1.2 * listed


def test_a_handshake_is_tried_a_bounded_number_of_times() -> None:
    assert retry_at(len(HANDSHAKE_RETRIES_S), NOW, 0, handshake=True) is not None
    assert retry_at(len(HANDSHAKE_RETRIES_S) + 1, NOW, 0, handshake=True) is None


@given(st.integers(1, 10_000), chances)
def test_an_endpoint_that_fails_rests_longer_each_time_up_to_half_an_hour(failures: int, chance: float) -> None:
    rest = (rest_until(failures, NOW, chance, None) - NOW).total_seconds()
    assert 5 <= rest <= 1.2 * 1800
    assert rest_until(failures + 1, NOW, chance, None) >= rest_until(failures, NOW, chance, None)


@given(st.integers(1, 20), st.floats(0, 1e9))
def test_retry_after_is_honoured_up_to_an_hour(failures: int, asked: float) -> None:
    rest = (rest_until(failures, NOW, 0, asked) - NOW).total_seconds()
    assert rest >= min(asked, 3600) - 1e-5
    assert rest <= 3600
