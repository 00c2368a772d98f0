"""What a stack must find again when it starts a second time in the same folder: its ports and its random passwords."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amanat_local.spawn import free_port, port_is_free


def private_folder(folder: Path) -> Path:
    """The folder, made for its owner alone with all that is missing above it; what was there is left as it was."""
    if not folder.is_dir():
        private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_private(path: Path, content: str) -> None:
    """Replaces the file at once, readable by its owner alone."""
    pending = path.with_name(f".{path.name}.pending")
    with os.fdopen(os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    pending.rename(path)


@dataclass
class Kept:
    """`kept.json` of a stack's folder, written whenever something is added."""

    file: Path
    _held: dict[str, dict[str, Any]] = field(default_factory=lambda: {"ports": {}, "secrets": {}}, repr=False)
    _taken: set[int] = field(default_factory=set, repr=False)

    @classmethod
    def read(cls, folder: Path) -> Kept:
        kept = cls(folder / "kept.json")
        if kept.file.exists():
            kept._held |= json.loads(kept.file.read_text())
        return kept

    def port(self, name: str, preferred: int | None = None) -> int:
        """The port that `name` had before, else the preferred one, else any: the first of these that is free."""
        wanted = [self._held["ports"].get(name), preferred]
        free = (port for port in wanted if port and port not in self._taken and port_is_free(port))
        port = next(free, None) or self._any()
        self._taken.add(port)
        self._put("ports", name, port)
        return port

    def secret(self, name: str) -> str:
        """A random password of 32 characters, the same each time."""
        if name not in self._held["secrets"]:
            self._put("secrets", name, secrets.token_urlsafe(24))
        return str(self._held["secrets"][name])

    def _any(self) -> int:
        while (port := free_port()) in self._taken:
            pass
        return port

    def _put(self, kind: str, name: str, value: Any) -> None:
        if self._held[kind].get(name) != value:
            self._held[kind][name] = value
            write_private(self.file, json.dumps(self._held))
