"""The eight processes of the four services, and the environment of each. The same settings as anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from amanat_local.broker import AGENCIES
from amanat_local.keys import Keys
from amanat_local.postgres import Postgres
from amanat_local.realm import GATE_AUDIENCE


@dataclass(frozen=True)
class Service:
    """One process: `python -m <module>`, as database role `role`, with or without Kafka."""

    name: str
    agency: str
    module: str
    db: str
    role: str
    audience: str
    kafka_user: str | None


def _services() -> tuple[Service, ...]:
    made = [
        Service("intake-main", "intake", "intake.main", "intake", "intake_api", "amanat-intake", None),
        Service("intake-gate", "intake", "intake.gate", "intake", "intake_gate", GATE_AUDIENCE, "intake-gate"),
    ]
    for agency in AGENCIES:
        db, audience = agency.replace("-", "_"), f"amanat-{agency}"
        made.append(Service(f"{agency}-main", agency, f"{db}.main", db, f"{db}_api", audience, None))
        made.append(Service(f"{agency}-worker", agency, f"{db}.worker", db, f"{db}_worker", audience, agency))
    return tuple(made)


SERVICES = _services()
NAMES = tuple(service.name for service in SERVICES)


@dataclass(frozen=True)
class Kafka:
    """Where the broker is, and each user's password; without users it is the embedded broker."""

    bootstrap: str
    security: Literal["plaintext", "scram"]
    users: Mapping[str, str]


def settings(
    service: Service, *, postgres: Postgres, kafka: Kafka, issuer: str, keys: Keys, ports: Mapping[str, int]
) -> dict[str, str]:
    """The process's AMANAT_ environment. `ports` is by process name."""
    port = ports[service.name]
    told = {
        "DATABASE_URL": postgres.url(service.role, service.db),
        "ISSUER": issuer,
        "AUDIENCE": service.audience,
        "DIRECTORY_FILE": str(keys.directory_file),
        "AT_REST_KEY_FILE": str(keys.at_rest(service.agency)),
        "INDEX_KEY_FILE": str(keys.index(service.agency)),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        # A link in an answer or a webhook leads to the agency's HTTP process, whichever process wrote it.
        "PUBLIC_URL": f"http://127.0.0.1:{ports[f'{service.agency}-main']}",
        "PROVINCE": "sindh",
    }
    if service.kafka_user is not None:
        told |= {"KAFKA_BOOTSTRAP": kafka.bootstrap, "KAFKA_SECURITY": kafka.security}
        told["LEDGER_KEY_FILE"] = str(keys.ledger(service.agency))
        if kafka.security == "scram":
            told |= {"KAFKA_USER": service.kafka_user, "KAFKA_PASSWORD": kafka.users[service.kafka_user]}
    if service.agency == "intake":
        told["KEK_PUBLIC_DIR"] = str(keys.kek_public)
        if service.name == "intake-main":
            told["BUNDLE_KEY_FILE"] = str(keys.bundles)
        if service.name == "intake-gate":
            told |= {"KEK_PRIVATE_DIR": str(keys.kek_private), "FACTS_KEY_DIR": str(keys.facts_dir)}
        else:
            told["CLAIM_PEPPER_FILE"] = str(keys.claim_pepper)
    else:
        told |= {
            "GATE_URL": f"http://127.0.0.1:{ports['intake-gate']}",
            "CLIENT_ID": f"{service.agency}-service",
            "CLIENT_KEY_FILE": str(keys.client(f"{service.agency}-service")),
            "SIGNING_KEY_FILE": str(keys.signing(service.agency)),
        }
    if service.agency == "police-link":
        told["WEBHOOK_ALLOW_PRIVATE"] = "true"  # on one machine every receiver is on a private address
    return {f"AMANAT_{name}": value for name, value in told.items()}
