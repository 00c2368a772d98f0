"""Folders of the local stacks: whoever else has an account on the machine sees neither keys nor data."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from amanat_local.kept import private_folder
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from amanat_local.stack import Stack


@pytest.fixture(autouse=True)
def permissive() -> Iterator[None]:
    """A process that leaves everything open which is not closed by name."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def standing_open(folder: Path) -> dict[Path, int]:
    """The folder and those below it that are not their owner's alone."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]
    return {each: mode(each) for each in folders if mode(each) != 0o700}


def test_what_is_missing_is_made_for_its_owner_alone_and_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    made = private_folder(shared / "a" / "b")
    assert made.is_dir()
    assert standing_open(shared) == {shared: 0o755}
    assert private_folder(shared) == shared
    assert mode(shared) == 0o755


def test_no_folder_above_a_key_stands_open(tmp_path: Path) -> None:
    Keys.make(tmp_path / "stack", ["police-link-service"])
    assert standing_open(tmp_path / "stack") == {}


def test_no_folder_of_a_running_postgresql_stands_open(tmp_path: Path) -> None:
    running = Postgres.start(tmp_path / "stack" / "postgres", durable=False)
    try:
        assert standing_open(tmp_path / "stack") == {}
    finally:
        running.stop()


@pytest.mark.stack
def test_no_folder_of_a_stack_stands_open(tmp_path: Path) -> None:
    with Stack.start("embedded", tmp_path / ".amanat", services=[]):
        assert standing_open(tmp_path / ".amanat") == {}


def test_a_stacks_folder_that_stood_open_is_closed_and_the_one_it_was_put_in_is_not(tmp_path: Path) -> None:
    home = tmp_path / "shared" / "embedded"
    home.mkdir(parents=True)
    Stack("embedded", home.parent, preferred_ports=False)
    assert (mode(home.parent), mode(home)) == (0o777, 0o700)
