"""Files of keys by generation: published whole or not at all, erased before they are unlinked."""

from __future__ import annotations

import os
import re
from pathlib import Path


def numbered(directory: Path, pattern: str) -> list[int]:
    """The numbers n > 0 for which `pattern.format(n)` is a file there, ascending; none if there is no directory."""
    before, after = pattern.split("{}")
    name = re.compile(re.escape(before) + r"([1-9][0-9]{0,8})" + re.escape(after))
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(int(found[1]) for each in names if (found := name.fullmatch(each)))


def publish(path: Path, content: bytes, *, mode: int) -> None:
    """A new file, durable, under its name only once it is whole. Raises FileExistsError rather than replace one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # not what the umask leaves of it
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, this refuses to replace another's key
    finally:
        draft.unlink(missing_ok=True)
    _sync(path.parent)


def erase(path: Path) -> None:
    """Overwrites, then unlinks, both durably."""
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
