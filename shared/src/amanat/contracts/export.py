"""`python -m amanat.contracts.export`: writes the contracts' JSON Schemas and the AsyncAPI document.

An incompatible change of a snapshot is refused (exit 1) and nothing is written: it belongs in a new version of the
type, beside the old one, whose events are read forever.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from amanat.categories import OUTSIDE, Agency
from amanat.contracts import EVENTS, FACTS, Contract, SealedFact
from amanat.contracts.checkpoints import CheckpointEvent
from amanat.contracts.compatibility import incompatibilities
from amanat.contracts.disclosures import DisclosedRecords
from amanat.contracts.records import RECORDS

FOLDER = Path(__file__).parents[3] / "contracts"
ASYNCAPI = "asyncapi.yaml"
_SUFFIX = ".schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def contracts() -> dict[str, type[Contract]]:
    """Every published contract by its snapshot's name.

    A disclosure's and a fact's is the CloudEvents type (for a fact: of what is inside the seal), a record's
    `record.<name>`; `sealed-fact` is the form in which every fact travels, `disclosed-records.1` what a disclosure
    holds.
    """
    disclosures = {name: event for name, event in EVENTS.items() if name not in FACTS}
    records = {f"record.{name}": record for name, record in RECORDS.items()}
    return {
        **disclosures,
        **FACTS,
        **records,
        "sealed-fact": SealedFact,
        "disclosed-records.1": DisclosedRecords,
    }


def schema_of(contract: type[Contract]) -> dict[str, Any]:
    """The contract's JSON Schema for its readers: open to fields of a newer writer, each field with its category."""
    schema = contract.model_json_schema(mode="validation")
    _open(schema)
    return {"$schema": _DIALECT, **schema}


def snapshots() -> dict[str, str]:
    """The content of every file of `shared/contracts` by its name."""
    files = {
        f"{name}{_SUFFIX}": json.dumps(schema_of(contract), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        for name, contract in contracts().items()
    }
    files[ASYNCAPI] = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=110)
    return files


def refusals(folder: Path) -> Iterator[str]:
    """Why the contracts may not replace the snapshots of `folder`: incompatible changes and lost contracts."""
    current = contracts()
    for file in sorted(folder.glob(f"*{_SUFFIX}")):
        name = file.name.removesuffix(_SUFFIX)
        if name not in current:
            yield f"{name}: the contract is gone, and its events are not"
            continue
        old = json.loads(file.read_text(encoding="utf-8"))
        yield from (f"{name} {reason}" for reason in incompatibilities(old, schema_of(current[name])))


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3 document: who may send and receive what on which topic."""
    facts_of = {agency: sorted(name for name, fact in FACTS.items() if agency in fact.publishers) for agency in OUTSIDE}
    of_ledgers = sorted(name for name, event in EVENTS.items() if issubclass(event, CheckpointEvent))
    disclosed = sorted(name for name in EVENTS if name not in FACTS and name not in of_ledgers)
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for agency in sorted(OUTSIDE):
        for topic, types, sender, receiver in (
            (f"disclosures.{agency.value}", disclosed, "intake-gate", agency.value),
            (f"facts.{agency.value}", facts_of[agency], agency.value, "intake-gate"),
        ):
            channels[topic] = _channel(topic, types, sender, receiver)
            for action, user in (("send", sender), ("receive", receiver)):
                operations[f"{user}.{action}.{topic}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic}"},
                    "summary": f"{user} {action}s on {topic}; the broker's ACLs allow it to nobody else.",
                }
    for service in sorted(Agency):
        topic = f"checkpoints.{service.value}"
        channels[topic] = _channel(topic, of_ledgers, service.value, "every service")
        for user in sorted(Agency):
            for action in ("send", "receive") if user is service else ("receive",):
                operations[f"{user.value}.{action}.{topic}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic}"},
                    "summary": f"{user.value} {action}s on {topic}: hashes, signatures and sizes.",
                }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Amanat events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in Kafka's binary mode. What crosses agencies crosses in intake's gate; "
            "every personal field is sealed. Generated from the contracts: change those, then run the export.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {name: _message(name) for name in sorted(EVENTS)},
            "messageTraits": {"cloudEvent": {"headers": _HEADERS}},
        },
    }


def _channel(topic: str, types: list[str], sender: str, receiver: str) -> dict[str, Any]:
    return {
        "address": topic,
        "description": f"Written by {sender}, read by {receiver}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in types},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    }


def _message(name: str) -> dict[str, Any]:
    contract = FACTS.get(name) or EVENTS[name]
    sealed = name in FACTS
    message: dict[str, Any] = {
        "name": name,
        "title": contract.__name__,
        "summary": (contract.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{'sealed-fact' if sealed else name}{_SUFFIX}"},
        },
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "the referral's code"},
                "bindingVersion": "0.5.0",
            }
        },
    }
    if sealed:
        message["x-sealed-content"] = {"$ref": f"./{name}{_SUFFIX}"}
    return message


_HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents attributes; never personal data.",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid"},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string"},
        "ce_subject": {"type": "string", "description": "the receiving agency's code of the referral"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_seq": {"type": "string", "description": "place in the referral's order"},
        "ce_organisation": {"type": "string"},
        "content-type": {"const": "application/json"},
    },
}


def _open(schema: Any) -> None:
    """Readers ignore what they do not know; that writers are held to the contract is their constructors' business."""
    if isinstance(schema, dict):
        if schema.get("additionalProperties") is False:
            del schema["additionalProperties"]
        for value in schema.values():
            _open(value)
    elif isinstance(schema, list):
        for value in schema:
            _open(value)


def main(arguments: list[str] | None = None) -> int:
    """Writes the snapshots; 1 and no file when that would break a contract."""
    parser = argparse.ArgumentParser(prog="python -m amanat.contracts.export", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    refused = tuple(refusals(folder))
    if refused:
        sys.stderr.write("".join(f"incompatible: {reason}\n" for reason in refused))
        return 1
    files = snapshots()
    for file in folder.iterdir():
        if file.name.endswith(_SUFFIX) and file.name not in files:
            file.unlink()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
