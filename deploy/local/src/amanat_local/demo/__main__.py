"""`python -m amanat_local.demo`: starts a stack, plays the story, and leaves the platform up unless told otherwise."""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Literal

import httpx

from amanat_local import supervisor
from amanat_local.demo.clients import NotAsTold
from amanat_local.demo.story import Story
from amanat_local.demo.telling import Teller
from amanat_local.migrations import MigrationFailed
from amanat_local.missing import Missing
from amanat_local.spawn import NotReady
from amanat_local.stack import Stack
from amanat_local.tokens import NoToken

FOLDER = Path(".amanat")


def main() -> int:
    """Exit code 0 when the story went as told, 1 when any step did not."""
    parser = argparse.ArgumentParser(prog="amanat demo", description="Two survivors' stories, through the public APIs.")
    parser.add_argument("--stack", choices=("embedded", "real"), default="embedded")
    parser.add_argument("--once", action="store_true", help="stop after the story")
    asked = parser.parse_args()
    kind: Literal["embedded", "real"] = "real" if asked.stack == "real" else "embedded"
    teller = Teller()
    try:
        running = supervisor.described(FOLDER)
    except supervisor.NotRunning:
        pass
    else:
        teller.say(f"A stack ({running['kind']}) runs here already; `.venv/bin/amanat stack down` stops it.")
        return 1
    played: list[int] = []
    with supervisor.stopped_by_signals():
        _run(kind, teller, played, once=asked.once)
    return played[0] if played else 1


def _run(kind: Literal["embedded", "real"], teller: Teller, played: list[int], *, once: bool) -> None:
    teller.chapter(f"Amanat on the {kind} stack")
    shutil.rmtree(FOLDER / kind, ignore_errors=True)  # a story of its own, from empty databases
    began = time.monotonic()
    try:
        with teller.console.status("starting"):
            stack = Stack.start(
                kind,
                FOLDER,
                say=lambda step: teller.say(f"{time.monotonic() - began:5.1f} s  {step}"),
                preferred_ports=True,
                settings={"CHECKPOINT_SECONDS": "10"},  # ten minutes elsewhere: nobody waits that long for a story
            )
    except (NotReady, MigrationFailed, Missing) as error:
        teller.claim(False, str(error))
        return
    try:
        teller.say(f"ready in {time.monotonic() - began:.1f} s")
        story = Story(teller, stack.info, stack.restart)
        try:
            story.play()
        except (NotAsTold, NoToken, httpx.HTTPError) as error:
            teller.failed.append(str(error))
            teller.claim(False, f"the story stopped: {error or type(error).__name__}")
        _sum_up(teller)
        played.append(1 if teller.failed else 0)
        if not once:
            _what_next(teller)
            supervisor.watch(stack, teller.say)
    finally:
        stack.stop()


def _sum_up(teller: Teller) -> None:
    took = time.monotonic() - teller.began
    if teller.failed:
        teller.chapter(f"{len(set(teller.failed))} things were not as told ({took:.0f} s)")
    else:
        teller.chapter(f"Everything went as told ({took:.0f} s)")


def _what_next(teller: Teller) -> None:
    teller.chapter("The platform stays up. Try:")
    teller.say(".venv/bin/amanat stack status")
    teller.say("TOKEN=$(.venv/bin/amanat token station-saddar-system)")
    teller.say('curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:7703/v1/referrals')
    teller.say("Ctrl-C stops everything and leaves no process.")


if __name__ == "__main__":
    raise SystemExit(main())
