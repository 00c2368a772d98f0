"""The embedded stack's broker and issuer: Python alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from amanat_local.issuer import Configuration, hashed
from amanat_local.kept import Kept, write_private
from amanat_local.keys import Keys
from amanat_local.process import Process, answers, environment, python
from amanat_local.realm import REALM, Realm
from amanat_local.services import Kafka

ISSUER_PORT = 7700


class Embedded:
    """`broker` and `issuer`, and what the services need to know of them."""

    def __init__(self, folder: Path, logs: Path, kept: Kept, keys: Keys, realm: Realm, *, preferred: bool) -> None:
        self._address = folder / "broker.address"
        self._configuration = folder / "realm.json"
        self._issuer_key = folder / "keys" / "issuer.json"
        self._kept, self._keys, self._realm = kept, keys, realm
        port = kept.port("issuer", ISSUER_PORT if preferred else None)
        self.issuer = f"http://127.0.0.1:{port}/realms/{REALM}"
        self.broker = Process(
            name="broker",
            argv=python("amanat_local.broker", str(self._address)),
            env=environment({}),
            log=logs / "broker.log",
            ready=self._address.exists,
        )
        self.issuing = Process(
            name="issuer",
            argv=python("amanat_local.issuer", str(self._configuration), str(port)),
            env=environment({"AMANAT_EMBEDDED": "1"}),
            log=logs / "issuer.log",
            ready=answers(port),
        )

    @property
    def parts(self) -> Mapping[str, Process]:
        return {"broker": self.broker, "issuer": self.issuing}

    @property
    def kafka(self) -> Kafka:
        return Kafka(self._address.read_text(), "plaintext", {})

    @property
    def more(self) -> dict[str, Any]:
        """`stack.json` says nothing besides."""
        return {}

    def before_start(self, name: str) -> None:
        """A mock cluster chooses its own port: what the last one wrote must not be taken for the next one's."""
        if name == "broker":
            self._address.unlink(missing_ok=True)

    def start(self, say: Callable[[str], None]) -> None:
        """Starts both and returns when they are ready."""
        self._write_configuration()
        for name, part in self.parts.items():
            self.before_start(name)
            part.start()
        for part in self.parts.values():
            part.wait()
        say("broker and issuer are ready")

    def _write_configuration(self) -> None:
        if not self._issuer_key.exists():
            key = ECKey.generate_key("P-256", parameters={"use": "sig", "alg": "ES256"}, auto_kid=True)
            write_private(self._issuer_key, json.dumps(key.as_dict(private=True)))
        Configuration(
            issuer=self.issuer,
            signing_key=json.loads(self._issuer_key.read_text()),
            identities=self._realm.identities,
            client_keys={client.name: self._keys.public_jwk(client.name) for client in self._realm.clients},
            passwords={person.name: hashed(self._kept.secret(person.name)) for person in self._realm.people},
        ).write(self._configuration)
