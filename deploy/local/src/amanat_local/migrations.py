"""Migrates databases one after another in one process; standard input is `[[module, migrator's address], …]`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from amanat_local.process import environment, python


class MigrationFailed(Exception):
    """A database was not brought up to date; the text is the migration's own, without addresses."""


def migrate(databases: Sequence[tuple[str, str]]) -> None:
    """Runs this module as a process, so that the supervisor itself stays small. Raises MigrationFailed."""
    done = subprocess.run(
        python("amanat_local.migrations"),
        input=json.dumps(databases),
        text=True,
        capture_output=True,
        env=environment({}),
        check=False,
    )
    if done.returncode:
        raise MigrationFailed(done.stderr.strip()[-2000:])


def main() -> None:
    from amanat.migrate import upgrade  # noqa: PLC0415 - here, so that the supervisor does not load SQLAlchemy

    for module, url in json.load(sys.stdin):
        upgrade(module, url)


if __name__ == "__main__":
    main()
