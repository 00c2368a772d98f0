"""A worker dies aloud, drains quietly, and says how it is."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap

import httpx
import pytest

from amanat.worker import Every, Listener, run_worker


class Part:
    """A task under the test's hand."""

    def __init__(self, name: str = "part") -> None:
        self.name = name
        self.ready = False
        self.drained = False
        self.die = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        stopped, dying = asyncio.create_task(stop.wait()), asyncio.create_task(self.die.wait())
        await asyncio.wait({stopped, dying}, return_when=asyncio.FIRST_COMPLETED)
        if self.die.is_set():
            raise RuntimeError
        await asyncio.sleep(0.05)
        self.drained = True


async def test_when_a_task_dies_the_others_drain_and_the_process_fails() -> None:
    dying, other = Part("dying"), Part("other")
    dying.die.set()
    with pytest.raises(SystemExit) as ended:
        await run_worker(tasks=[dying, other], port=None)
    assert ended.value.code == 1
    assert other.drained


async def test_a_task_that_returns_without_being_told_ends_the_process_too() -> None:
    class Returns(Part):
        async def run(self, stop: asyncio.Event) -> None:
            return

    with pytest.raises(SystemExit):
        await run_worker(tasks=[Returns(), Part()], port=None)


async def test_sigterm_drains_every_task_and_ends_well() -> None:
    parts = [Part("one"), Part("two")]
    asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
    await run_worker(tasks=parts, port=None)
    assert all(part.drained for part in parts)


async def test_a_task_that_does_not_drain_is_cancelled_in_time() -> None:
    class Deaf(Part):
        async def run(self, stop: asyncio.Event) -> None:
            await asyncio.Event().wait()

    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(3):
        await run_worker(tasks=[Deaf()], port=None, drain_seconds=0.1, stop=stop)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_probes_and_metrics_are_served() -> None:
    part, stop, port = Part("consumer"), asyncio.Event(), free_port()
    running = asyncio.create_task(run_worker(tasks=[part], port=port, stop=stop))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        async with asyncio.timeout(10):
            while True:
                try:
                    alive = await client.get("/livez")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.02)
        assert alive.status_code == 200
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.json()["waiting_for"]) == (503, ["consumer"])
        part.ready = True
        assert (await client.get("/readyz")).status_code == 200
        assert "amanat_parked_total" in (await client.get("/metrics")).text
        assert (await client.get("/v1/referrals")).status_code == 404
    stop.set()
    await running


async def test_a_port_that_is_taken_ends_the_process() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SystemExit):
            await run_worker(tasks=[Part()], port=int(taken.getsockname()[1]))


async def test_a_listener_tells_the_free_port_that_it_took() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        """Answers nothing; it is only listened for."""

    listener, stop = Listener(app, port=0), asyncio.Event()
    running = asyncio.create_task(listener.run(stop))
    async with asyncio.timeout(10):
        while listener.bound_port is None:
            await asyncio.sleep(0.02)
    assert listener.bound_port > 0
    stop.set()
    await running


async def test_a_periodic_task_outlives_a_failure_and_ends_after_many_in_a_row() -> None:
    outcomes = iter([KeyError(), None, KeyError(), KeyError(), KeyError(), None])

    async def work() -> None:
        error = next(outcomes)
        if error:
            raise error

    with pytest.raises(KeyError):
        await Every("work", 0.001, work, fails_for=3).run(asyncio.Event())
    assert len(list(outcomes)) == 1


async def test_a_periodic_task_waits_for_a_database_without_end() -> None:
    stop, calls = asyncio.Event(), 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls > 50:
            stop.set()
        raise ConnectionRefusedError

    await Every("work", 0.001, work, fails_for=3).run(stop)
    assert calls > 50


async def test_the_exit_status_of_the_process_is_not_zero() -> None:
    program = textwrap.dedent("""
        import asyncio
        from amanat.worker import run_worker

        class Dies:
            name = "dies"
            async def run(self, stop):
                raise KeyError("Fatima")

        asyncio.run(run_worker(tasks=[Dies()], port=None))
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 1
    assert b"KeyError" in out
    assert b"Fatima" not in out
