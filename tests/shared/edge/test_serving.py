"""The server itself: SIGTERM lets what runs end, and its output holds no address."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx

_PROGRAM = """
import asyncio, sys
from fastapi import APIRouter
from amanat.http import create_app, serve
from amanat.settings import ServiceSettings
settings = ServiceSettings(database_url="x", issuer="http://127.0.0.1:1/realms/amanat", audience="a",
    directory_file="/x", at_rest_key_file="/x", index_key_file="/x", port=int(sys.argv[1]))
router = APIRouter()
@router.get("/slow/{name}")
async def slow(name: str) -> str:
    await asyncio.sleep(1)
    return "done"
serve(create_app(title="Slow", service="police-link", settings=settings, routers=[router]), settings)
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_sigterm_lets_a_running_request_end() -> None:
    port = _free_port()
    server = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as http:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                try:
                    if http.get("/livez").status_code == 200:
                        break
                except httpx.ConnectError:
                    time.sleep(0.05)
            answers: list[httpx.Response] = []
            asking = threading.Thread(target=lambda: answers.append(http.get("/slow/Zarina?name=Fatima")))
            asking.start()
            time.sleep(0.4)
            server.send_signal(signal.SIGTERM)
            asking.join(10)
        output, _ = server.communicate(timeout=15)
    finally:
        server.kill()
    assert [answer.json() for answer in answers] == ["done"]
    assert "server" not in answers[0].headers
    assert "Zarina" not in output
    assert "Fatima" not in output
    requests = [line for line in map(json.loads, output.splitlines()) if line["event"] == "request"]
    slow = requests[-1]
    assert (slow["method"], slow["route"], slow["status"], slow["client"]) == ("GET", "/slow/{name}", 200, None)
    assert slow["duration_ms"] >= 1000
    assert len(slow["trace_id"]) == 32
