"""The example's receiver and client, as a station's developer would run them, against the real service."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from amanat.worker import Listener

from .conftest import SADDAR, Station

pytestmark = pytest.mark.attack

FOLDER = Path(__file__).parents[3] / "examples" / "police_station"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"police_station_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and secret's file of a running receiver."""
    secret = tmp_path / "secret"
    with load("receiver").serve(0, secret) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", secret
        server.shutdown()


async def test_the_examples_subscribe_hear_of_a_referral_and_take_a_webhook_once(
    station: Station, example: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    url, secret = example
    stop, listener = asyncio.Event(), Listener(station.world.app, port=0)
    serving = asyncio.create_task(listener.run(stop))
    while listener.bound_port is None:
        await asyncio.sleep(0.01)
    token = f"police-link/{SADDAR}/reporting_centre_system"
    client = load("client").Station(f"http://127.0.0.1:{listener.bound_port}", token)

    made = await asyncio.to_thread(client.subscribe, url)
    sent = asyncio.create_task(station.send())  # before the secret is stored: the receiver waits for it
    await asyncio.sleep(0.2)
    secret.write_text(made["secret"])
    await sent
    assert (await asyncio.to_thread(client.subscription, made["subscription"]))["state"] == "active"

    code = await station.referral()
    await station.send()
    again = await asyncio.to_thread(client.replay, made["subscription"], "2020-01-01T00:00:00Z")
    assert again["queued"] == 1
    await station.send()
    assert capsys.readouterr().out.count(f"a referral arrived: {code}") == 1
    assert (await station.shown(made["subscription"]))["queued"] == 0
    stop.set()
    await serving


def test_the_example_refuses_what_is_not_signed() -> None:
    module = load("receiver")
    assert module.answer(module.Inbox(), "whsec_" + "a" * 44, {"webhook-id": "x"}, b"{}")[0] == 401
