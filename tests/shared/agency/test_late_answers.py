"""An answer that grew too old, or outlived its lease, is started again or not given."""

from __future__ import annotations

from dataclasses import replace

from amanat.agency.testing import World

from .cases import all_looks, open_case, read


class Clock:
    """Seconds since boot that pass only when told."""

    def __init__(self, *steps: float) -> None:
        self.now, self._steps = 1000.0, list(steps)

    def __call__(self) -> float:
        self.now += self._steps.pop(0) if self._steps else 0.0
        return self.now


async def test_an_answer_older_than_a_second_is_started_again(police: World) -> None:
    code = await open_case(police)
    police.desk = replace(police.desk, leases=police.gate.client(lambda: 1000.0), boottime=Clock(0, 1.5))
    assert (await read(police, code)).status_code == 200
    assert len(await all_looks(police)) == 2


async def test_an_answer_that_is_always_too_old_is_503_and_not_given(police: World) -> None:
    code = await open_case(police)
    police.desk = replace(police.desk, leases=police.gate.client(lambda: 1000.0), boottime=Clock(*([1.5] * 12)))
    answer = await read(police, code)
    assert answer.status_code == 503
    assert "told once" not in answer.text


async def test_an_answer_that_grew_old_on_its_way_out_is_not_sent(police: World) -> None:
    code = await open_case(police)
    police.desk = replace(police.desk, leases=police.gate.client(lambda: 1000.0), boottime=Clock(0, 0, 1.5))
    answer = await read(police, code)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "told once" not in answer.text


async def test_a_lease_that_ends_before_the_answer_is_asked_for_again(police: World) -> None:
    code = await open_case(police)
    police.gate.expires_in_s = 0.5
    clock = Clock(0, 0, 0, 0.6)  # two looks of the lease client, the fetch's beginning, the check before the answer
    police.desk = replace(police.desk, leases=police.gate.client(clock), boottime=clock)
    assert (await read(police, code)).status_code == 200
    assert len(police.gate.asked) == 2
