"""`amanat verify`: the same verifier as the file that a court carries alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amanat import verify as verifier
from amanat.cli import stop


def verify(
    bundle: Annotated[Path, typer.Argument(help="the bundle's file")],
    keys: Annotated[Path | None, typer.Option(help="a directory file, or keys.json, had from another source")] = None,
    lang: Annotated[str, typer.Option(help="en or ur")] = "en",
    json: Annotated[bool, typer.Option("--json", help="codes instead of words")] = False,
) -> None:
    """Verify a court bundle, offline: exit status 0 proven, 1 rejected, 2 the file cannot be read."""
    if lang not in ("en", "ur"):
        stop("--lang takes en or ur")
    told = [str(bundle), "--lang", lang, *(["--keys", str(keys)] if keys else []), *(["--json"] if json else [])]
    raise typer.Exit(verifier.main(told))
