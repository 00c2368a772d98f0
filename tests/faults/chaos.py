"""SIGKILL at a random moment of a story, and a start after a random pause."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from amanat_local.services import NAMES
from amanat_local.stack import Stack

from .compact_story import Story
from .final_state import Model, settle

INFRASTRUCTURE = ("kafka", "postgres", "keycloak")
EVERYTHING = (*NAMES, *INFRASTRUCTURE)
LONGEST_PAUSE_S = 2.0
INTO_A_STEP_S = 0.08
"""A step takes about half of it, what it sets off in the background the rest."""


@dataclass(frozen=True)
class Kill:
    """Who, when (`step` of the story, and how long after it began), and for how long it stays down at least."""

    name: str
    step: int
    later_s: float
    pause_s: float

    def __str__(self) -> str:
        return f"{self.name} {self.later_s * 1000:.0f} ms into step {self.step}, down for {self.pause_s:.1f} s"


def short_plan(chance: random.Random, steps: int) -> list[Kill]:
    """Each server, the gate, and one of the other processes, in a story of so many steps."""
    others = [name for name in NAMES if name != "intake-gate"]
    return _shuffled(chance, [*INFRASTRUCTURE, "intake-gate", chance.choice(others)], steps)


def long_plan(chance: random.Random, steps: int, kills: int = 30) -> list[Kill]:
    """Everything at least twice, the rest by chance."""
    twice = [*EVERYTHING, *EVERYTHING]
    return _shuffled(chance, [*twice, *chance.choices(EVERYTHING, k=kills - len(twice))], steps)


@dataclass(frozen=True)
class Outcome:
    """What a disturbed story came to."""

    model: Model
    took_s: float
    sent_again: int
    webhook_attempts: int
    back_after_s: float


def disturbed(stack: Stack, story: Story, kill: Kill) -> Outcome:
    """Plays the story while the process is killed and started again; its final state once all is quiet.

    Raises what the story raises, NotReady when the process does not come back.
    """
    with ThreadPoolExecutor(max_workers=1) as aside:
        struck = aside.submit(_strike, stack, story, kill)
        try:
            story.play()
        finally:
            back_after_s = struck.result()
    model = settle(story)
    again = sum(client.again for client in story.by.values())
    return Outcome(model, story.took_s, again, story.receiver.attempts, back_after_s)


def _strike(stack: Stack, story: Story, kill: Kill) -> float:
    if story.wait_for_step(kill.step):
        time.sleep(kill.later_s)  # the moment is what is tried: there is nothing to wait for
    stack.kill(kill.name)
    began = time.monotonic()
    if kill.name == "keycloak":
        # With the tokens that they have, nobody would miss it for the length of a story.
        for client in story.by.values():
            client.forget_token()
    time.sleep(kill.pause_s)
    stack.start_process(kill.name)
    return time.monotonic() - began


def _shuffled(chance: random.Random, names: list[str], steps: int) -> list[Kill]:
    chance.shuffle(names)
    return [
        Kill(name, chance.randint(1, steps), chance.uniform(0, INTO_A_STEP_S), chance.uniform(0, LONGEST_PAUSE_S))
        for name in names
    ]
