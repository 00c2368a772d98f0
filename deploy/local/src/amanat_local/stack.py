"""A whole stack in one folder: PostgreSQL, broker and issuer of either kind, the services, and `stack.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from amanat_local import services as platform
from amanat_local.broker import SERVICES
from amanat_local.directory import template
from amanat_local.embedded import Embedded
from amanat_local.kept import Kept, private_folder, write_private
from amanat_local.keys import Keys
from amanat_local.migrations import migrate
from amanat_local.postgres import ROLES, Postgres
from amanat_local.process import Part, Process, answers, environment, python
from amanat_local.realm import DESK, Realm, realm_of
from amanat_local.spawn import born

Kind = Literal["embedded", "real"]
Say = Callable[[str], None]
DEFAULT_FOLDER = Path(".amanat")
PREFERRED_PORTS = {"postgres": 7750} | {name: 7701 + number for number, name in enumerate(platform.NAMES)}
"""Taken when free, so that the addresses in the README hold on most machines."""


class Infrastructure(Protocol):
    """Broker and issuer of one kind of stack."""

    issuer: str

    @property
    def parts(self) -> Mapping[str, Process]: ...
    @property
    def kafka(self) -> platform.Kafka: ...
    @property
    def more(self) -> dict[str, Any]: ...
    def before_start(self, name: str) -> None: ...
    def start(self, say: Say) -> None: ...


@dataclass
class _PostgresPart:
    """PostgreSQL as one of the stack's parts."""

    postgres: Postgres
    name: str = "postgres"

    @property
    def pid(self) -> int | None:
        return self.postgres.pid

    @property
    def log(self) -> Path:
        return self.postgres.log

    def start(self) -> None:
        self.postgres.resume()

    def wait(self) -> None:
        """`start` has waited already."""

    def kill(self) -> None:
        self.postgres.kill()

    def stop(self) -> None:
        self.postgres.stop()


class Stack:
    """A running stack. Whoever started it stops it: `stop`, or `with`."""

    def __init__(
        self, kind: Kind, folder: Path, *, preferred_ports: bool, settings: Mapping[str, str] | None = None
    ) -> None:
        self.kind = kind
        self.folder = folder.absolute()
        self.home = private_folder(self.folder / kind)
        self.home.chmod(0o700)  # one of an earlier version stood open
        self.logs = private_folder(self.home / "logs")
        self.kept = Kept.read(self.home)
        self.realm: Realm = realm_of(template())
        self.keys = Keys.make(self.home, [client.name for client in self.realm.clients])
        self.started_at = datetime.now(UTC)
        self._preferred = preferred_ports
        self._settings = dict(settings or {})
        self._ports = {name: self._port(name) for name in ("postgres", *platform.NAMES)}
        self._infrastructure = self._choose_infrastructure()
        self._parts: dict[str, Part] = {}
        self._environments: dict[str, dict[str, str]] = {}
        self.postgres: Postgres | None = None

    @classmethod
    def start(
        cls,
        kind: Kind = "embedded",
        folder: Path = DEFAULT_FOLDER,
        services: Sequence[str] | None = None,
        *,
        say: Say = lambda step: None,
        preferred_ports: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Starts everything and returns when all of it is ready; on a failure nothing is left running.

        `services` are process names (all by default, `[]` for the infrastructure alone). Data, keys, ports and
        passwords in the folder are used again. `settings` are AMANAT_ settings, without the prefix, that every
        service gets besides its own (a test's request rate). Raises NotReady, MigrationFailed, or Missing for a tool.
        """
        stack = cls(kind, folder, preferred_ports=preferred_ports, settings=settings)
        chosen = [each for each in platform.SERVICES if services is None or each.name in services]
        try:
            stack._start(chosen, say)
        except BaseException:
            stack.stop()
            raise
        return stack

    @property
    def info(self) -> dict[str, Any]:
        """What `stack.json` says. It holds secrets."""
        postgres, kafka = self._postgres, self._infrastructure.kafka
        return {
            "kind": self.kind,
            "folder": str(self.home),
            "started_at": self.started_at.isoformat(),
            "pid": os.getpid(),
            "born": born(os.getpid()),
            "services": {name: self._address(f"{name}-main") for name in SERVICES},
            "gate": self._address("intake-gate"),
            "workers": {name: self._address(f"{name}-worker") for name in SERVICES if name != "intake"},
            "issuer": self._infrastructure.issuer,
            "token_url": f"{self._infrastructure.issuer}/protocol/openid-connect/token",
            "kafka": {"bootstrap": kafka.bootstrap, "security": kafka.security, "users": dict(kafka.users)},
            "databases": {
                db: {
                    "admin": postgres.admin_url(db, "postgresql"),
                    "roles": {role: postgres.url(role, db, "postgresql") for role in (f"{db}_migrator", *others)},
                }
                for db, others in ROLES.items()
            },
            "directory_file": str(self.keys.directory_file),
            "desk_client": DESK,
            "clients": {
                client.name: {"key_file": str(self.keys.client(client.name)), "audience": client.audience}
                | client.claims()
                for client in self.realm.clients
            },
            "users": {
                person.name: {"password": self.kept.secret(person.name), "audience": person.audience} | person.claims()
                for person in self.realm.people
            },
            "environments": self._environments,
            "processes": {name: {"pid": part.pid, "log": str(part.log)} for name, part in self._parts.items()},
        } | self._infrastructure.more

    def part(self, name: str) -> Part:
        """Raises KeyError for a name that is not in this stack."""
        return self._parts[name]

    def kill(self, name: str) -> None:
        """SIGKILL; returns when the process and all it started are gone."""
        self._parts[name].kill()
        self._describe()

    def stop_process(self, name: str) -> None:
        """SIGTERM, with the time to drain."""
        self._parts[name].stop()
        self._describe()

    def start_process(self, name: str, *, wait: bool = True) -> None:
        """Starts what was killed or stopped again, on the same address and data, and waits until it is ready.

        The embedded broker alone comes back empty and on another port: the processes that speak to it are restarted.
        """
        part = self._parts[name]
        before = self._infrastructure.kafka if name in self._infrastructure.parts else None
        self._infrastructure.before_start(name)
        part.start()
        if wait or before is not None:
            part.wait()
        if before is not None and before != self._infrastructure.kafka:
            speaking = [each for each in platform.SERVICES if each.kafka_user and each.name in self._parts]
            for service in speaking:
                self._parts[service.name].stop()
            self._start_services(speaking)
        self._describe()

    def restart(self, name: str) -> None:
        self.stop_process(name)
        self.start_process(name)

    def ended(self) -> list[str]:
        """The names of the parts that do not run."""
        return [name for name, part in self._parts.items() if part.pid is None]

    def stop(self) -> None:
        """Stops everything, services first, and removes `stack.json`; no process is left."""
        serving = [part for name, part in self._parts.items() if name in platform.NAMES]
        others = [part for name, part in self._parts.items() if name not in platform.NAMES]
        for group in (serving, others):
            with ThreadPoolExecutor(max_workers=max(1, len(group))) as together:
                list(together.map(lambda part: part.stop(), group))
        if self.postgres is not None:
            self.postgres.stop()
        (self.folder / "stack.json").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _postgres(self) -> Postgres:
        if self.postgres is None:
            raise RuntimeError("the stack was not started")
        return self.postgres

    def _start(self, chosen: Sequence[platform.Service], say: Say) -> None:
        self._parts |= self._infrastructure.parts
        with ThreadPoolExecutor(max_workers=2) as together:
            databases = together.submit(self._start_databases, sorted({each.db for each in chosen}), say)
            others = together.submit(self._infrastructure.start, say)
            try:
                databases.result()
                others.result()
            except BaseException:
                self.stop()  # so that the other half does not wait for what nobody needs any more
                raise
        self._start_services(chosen, say)
        self._describe()

    def _start_databases(self, migrated: Sequence[str], say: Say) -> None:
        self.postgres = Postgres.start(self.home / "postgres", self._ports["postgres"])
        self._parts["postgres"] = _PostgresPart(self.postgres)
        for db in ROLES:
            self.postgres.create_database(db)
        say("PostgreSQL is ready")
        if migrated:
            migrate([(db, self.postgres.url(f"{db}_migrator", db)) for db in migrated])
            say("the databases are migrated")

    def _start_services(self, chosen: Sequence[platform.Service], say: Say = lambda step: None) -> None:
        for service in chosen:
            told = platform.settings(
                service,
                postgres=self._postgres,
                kafka=self._infrastructure.kafka,
                issuer=self._infrastructure.issuer,
                keys=self.keys,
                ports=self._ports,
            ) | {f"AMANAT_{name}": value for name, value in self._settings.items()}
            process = Process(
                name=service.name,
                argv=python(service.module),
                env=environment(told),
                log=self.logs / f"{service.name}.log",
                ready=answers(self._ports[service.name]),
            )
            self._environments[service.name] = told
            self._parts[service.name] = process
            process.start()
        for service in chosen:
            self._parts[service.name].wait()
            say(f"{service.name} is ready")

    def _choose_infrastructure(self) -> Infrastructure:
        if self.kind == "embedded":
            return Embedded(self.home, self.logs, self.kept, self.keys, self.realm, preferred=self._preferred)
        from amanat_local.real import Real  # noqa: PLC0415 - the embedded stack needs none of its libraries

        return Real(self.home, self.logs, self.kept, self.keys, self.realm, preferred=self._preferred)

    def _port(self, name: str) -> int:
        return self.kept.port(name, PREFERRED_PORTS[name] if self._preferred else None)

    def _address(self, process: str) -> str:
        return f"http://127.0.0.1:{self._ports[process]}"

    def _describe(self) -> None:
        write_private(self.folder / "stack.json", json.dumps(self.info, indent=2) + "\n")
