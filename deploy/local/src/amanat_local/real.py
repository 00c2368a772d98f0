"""The real stack's broker and issuer: Apache Kafka and Keycloak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from amanat_local import maven
from amanat_local.kafka import KafkaServer
from amanat_local.kept import Kept
from amanat_local.keycloak import Keycloak
from amanat_local.keys import Keys
from amanat_local.process import Process
from amanat_local.realm import Realm
from amanat_local.services import Kafka


class Real:
    """`kafka` and `keycloak`, and what the services need to know of them. Raises Missing when there is no Java."""

    def __init__(self, folder: Path, logs: Path, kept: Kept, keys: Keys, realm: Realm, *, preferred: bool) -> None:
        self.server = KafkaServer(folder / "kafka", logs, kept, preferred=preferred)
        self.keycloak = Keycloak(folder / "keycloak", logs, kept, keys, realm, preferred=preferred)
        self.issuer = self.keycloak.issuer

    @property
    def parts(self) -> Mapping[str, Process]:
        return {"kafka": self.server.process, "keycloak": self.keycloak.process}

    @property
    def kafka(self) -> Kafka:
        return self.server.address

    @property
    def more(self) -> dict[str, Any]:
        """What `stack.json` says besides: the administrator of Keycloak, and the controller's listener."""
        server = self.keycloak.server
        return {
            "keycloak": {"url": server.url, "admin": server.admin, "password": server.password},
            "kafka_controller": self.server.controller,
        }

    def before_start(self, name: str) -> None:
        """Both come back as they were."""

    def start(self, say: Callable[[str], None]) -> None:
        """Starts both side by side and returns when topics, ACLs and realm are in place. Raises Missing, NotReady."""

        def start_kafka() -> None:
            if not maven.kafka_folder().exists():
                say("Kafka is being downloaded, once (54 MB)")
            self.server.start()
            say("Kafka is ready, with topics and ACLs")

        def start_keycloak() -> None:
            if not maven.keycloak_folder().exists():
                say("Keycloak is being downloaded and built, once (176 MB, a minute)")
            self.keycloak.start()
            say("Keycloak is ready, with the realm")

        with ThreadPoolExecutor(max_workers=2) as together:
            for started in (together.submit(start_kafka), together.submit(start_keycloak)):
                started.result()
