"""The law as configuration: tables with a source and a version, which a lawyer corrects without a release."""

import tomllib
from importlib import resources
from typing import Any


def table(name: str) -> dict[str, Any]:
    """The table `name` of this package (`age_rules`, `clocks`, `purposes`) as TOML gives it.

    Raises:
        FileNotFoundError: there is no such table.
    """
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
