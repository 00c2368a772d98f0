"""Prints the story so that a person can follow it, and keeps count of what was not as told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

CHECK, CROSS = "[green]✓[/]", "[red]✗[/]"


class Teller:
    """Says chapters, calls with their times, and claims that held or did not."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.failed: list[str] = []
        self.began = time.monotonic()

    def chapter(self, title: str) -> None:
        """A heading."""
        self.console.print(f"\n[bold]{escape(title)}[/]")

    def say(self, text: str) -> None:
        """A sentence."""
        self.console.print(f"  {text}", markup=False)

    def call(self, who: str, method: str, path: str, status: int, milliseconds: float) -> None:
        """One request of a client."""
        self.console.print(f"  [dim]{who:<22}[/] {method} {escape(path)} → {status} [dim]({milliseconds:.0f} ms)[/]")

    def claim(self, held: bool, text: str) -> None:
        """Something that the story says is so."""
        self.console.print(f"  {CHECK if held else CROSS} {escape(text)}")
        if not held:
            self.failed.append(text)

    @contextmanager
    def timed(self, text: str) -> Iterator[None]:
        """Says how long a thing took until it was so."""
        began = time.perf_counter()
        yield
        self.console.print(f"  [dim]{escape(text)}: {(time.perf_counter() - began) * 1000:.0f} ms[/]")
