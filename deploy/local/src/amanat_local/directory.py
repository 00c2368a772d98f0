"""The local stacks' directory: the invented organisations of `directory.json`, and this stack's public keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ORIGINS = "amanat.local"
"""What the names of this stack's ledgers begin with."""
TEMPLATE = Path(__file__).with_name("directory.json")


def template() -> dict[str, Any]:
    """The directory without keys, as `amanat.directory.Directory` reads it."""
    document: dict[str, Any] = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    return document


def write(
    path: Path,
    *,
    signing_keys: Mapping[str, Mapping[str, str]],
    facts_keys: Mapping[str, str],
    ledger_keys: Mapping[str, Mapping[str, str]],
    bundle_keys: Mapping[str, str],
) -> None:
    """Writes the directory file.

    `signing_keys` is agency → key id → raw Ed25519 public key in base64; `facts_keys` is key id → raw X25519 public
    key in base64, the current one first; `ledger_keys` is service → key id → raw Ed25519 public key in base64;
    `bundle_keys` is key id → the same, of who signs court bundles.
    """
    document = template()
    for agency, keys in signing_keys.items():
        document["agencies"][agency]["signing_keys"] = _listed(keys)
    document["gate"]["facts_keys"] = _listed(facts_keys)
    document["ledgers"] = {
        service: {"origin": f"{ORIGINS}/{service}", "keys": _listed(keys)} for service, keys in ledger_keys.items()
    }
    document["bundles"] = {"origin": f"{ORIGINS}/bundles", "keys": _listed(bundle_keys)}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _listed(keys: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"id": key_id, "public_key": public} for key_id, public in keys.items()]
