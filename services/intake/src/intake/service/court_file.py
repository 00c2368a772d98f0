"""The files of a court bundle, from a case's entries and rows. What may not be shown is never put in: an opened part is
one of `verify.PARTS_SHOWN`, and an entry of a record that holds nothing else is left out."""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import rfc8785
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import merkle, verify
from amanat.contracts.records import RECORDS, categories_of
from amanat.db import AnyRow
from amanat.directory import Directory
from amanat.ledger import Seals, Statement, open_salt, proves
from amanat.ledger.entries import instant
from amanat.ledger.parts import WHOLE, Parted, entry_salt, part_salt
from amanat.ledger.reading import table_and_id
from amanat.ledger.tree import read_nodes
from amanat.merkle import Node
from amanat.sealing import Unopenable
from intake.service.sources import BREAK_GLASS, EVENT, REASON, SOURCES

Held = Mapping[str, Mapping[str, Any]]
"""Rows that entries name, sealed, by the name."""
_BY_TABLE = {source.table.name: source for source in SOURCES}
_BESIDE = frozenset({"size", "checkpoint", "cosignatures", "keys", "stamp"})
"""What of a frame has files of its own, and does not stand in the index."""
_OF_NO_COURT = frozenset(source.table.name for source in BREAK_GLASS)
"""Rows of which a bundle says nothing: an emergency's reason may tell of her treatment, and an order may be secret."""
_HER_OWN = frozenset({"claim_issued", "claim_ended", "withdrawn_from_afar", "withdrawal_undone"})
"""Kinds of entries that tell of her own page: whether she has one is hers to say."""
_UNTOLD_LOOKS = frozenset({"own_view", "clinical_emergency", "emergency_review"})
"""Looks, by their purpose, that would tell of either."""
_BY_ORDER = frozenset({"court_order", "statutory_duty"})
"""Bases of consents that are none of hers: such an order may be secret, and a court knows its own."""
_UNREADABLE = (Unopenable, ValueError, TypeError, KeyError, OverflowError)


@dataclass(frozen=True)
class Told:
    """One entry, opened: what it says under which master, or why that cannot be known (`why`)."""

    row: AnyRow
    master: bytes = b""
    statement: Statement | None = None
    why: str | None = None

    @property
    def matches(self) -> bool:
        """Whether the ledger committed to this."""
        return self.statement is not None and proves(
            self.statement.document(self.master), self.master, bytes(self.row.commitment)
        )

    @property
    def parts(self) -> Mapping[str, JsonValue]:
        """What its content holds in parts."""
        content = None if self.statement is None else self.statement.content
        return content.parts if isinstance(content, Parted) else {}


async def read_proof_nodes(session: AsyncSession, under: Collection[AnyRow], size: int) -> Mapping[Node, bytes]:
    """All nodes that the inclusion proofs of these entries need."""
    wanted = {node for row in under for node in merkle.nodes_for_inclusion(row.position, size)}
    return await read_nodes(session, wanted)


def keys_of(directory: Directory) -> dict[str, Any]:
    """The public keys as `keys.json` lists them, in the directory's own form."""

    def listed(signer: Any) -> dict[str, Any]:
        return {
            "origin": signer.origin,
            "keys": [{"id": key.id, "public_key": _base64(key.public_key)} for key in signer.keys],
        }

    ledgers = {service.value: listed(entry) for service, entry in directory.ledgers.items()}
    return {"ledgers": ledgers, "bundles": listed(directory.bundles)}


def entries_of(
    under: Sequence[AnyRow], held: Held, nodes: Mapping[Node, bytes], size: int, at_rest: Seals
) -> dict[str, bytes]:
    """The entries' files by name."""
    told = [_opened(row, held, at_rest) for row in under]
    before = {each.statement.source: each for each in told if each.statement is not None}
    files = {}
    for each in told:
        if _is_withheld(each):
            continue
        position = each.row.position
        try:
            proof = merkle.inclusion_proof(position, size, nodes)
        except KeyError:
            proof = []  # a node that somebody took out: a verifier rejects the entry, and says which
        said: dict[str, Any] = {
            "position": position,
            "leaf": _base64(bytes(each.row.hash)),
            "proof": [_base64(digest) for digest in proof],
            **_said(each, before),
        }
        files[f"entries/{position:012d}.json"] = rfc8785.dumps(said)
    return files


def waiting_of(late: Sequence[AnyRow], held: Held, at_rest: Seals) -> list[dict[str, Any]]:
    """Entries that no cosigned checkpoint holds yet: named, and not shown."""
    told = (_opened(row, held, at_rest) for row in late)
    return [
        {"kind": each.row.kind, "subject": each.row.subject, "at": instant(each.row.at)}
        for each in told
        if not (is_of_no_court(each.row) or _is_withheld(each))
    ]


def derived(entries: Mapping[str, bytes], frame: Mapping[str, Any]) -> dict[str, Any]:
    """The pages that say what the entries say, and `contents` of the index, by file name."""
    tree = verify.Tree("", frame["size"], b"", b"", ())
    read = [verify.read_entry(name, entries[name], tree) for name in sorted(entries)]
    made = verify.pages(read, looks=frame["looks"])
    return {**made, "contents": verify.contents(read, made)}


def files_of(entries: Mapping[str, bytes], frame: Mapping[str, Any], pdf: bytes | None) -> dict[str, bytes]:
    """Every file of the bundle but the manifest's note."""
    made = derived(entries, frame)
    index = {
        **{name: value for name, value in frame.items() if name not in _BESIDE},
        "pdf": pdf is not None,
        "contents": made.pop("contents"),
    }
    files = {
        **entries,
        **{name: rfc8785.dumps(page) for name, page in made.items()},
        verify.INDEX: rfc8785.dumps(index),
        verify.KEYS: rfc8785.dumps(frame["keys"]),
        verify.CHECKPOINT: frame["checkpoint"].encode(),
        verify.COSIGNATURES: frame["cosignatures"].encode(),
    }
    if frame["stamp"] is not None:
        files[verify.STAMP] = base64.b64decode(frame["stamp"])
    if pdf is not None:
        files[verify.PDF] = pdf
    files[verify.MANIFEST] = verify.manifest_of(files, index)
    return files


def _opened(row: AnyRow, held: Held, at_rest: Seals) -> Told:
    """What an entry says by what stands in the tables now."""
    if row.position is not None and bytes(row.hash) != bytes(row.commitment):
        return Told(row, why="leaf")
    if row.salt_sealed is None:
        return Told(row)
    try:
        master = open_salt(bytes(row.commitment), bytes(row.salt_sealed), at_rest)
    except Unopenable:
        return Told(row, why="salt")
    if row.source is not None and row.source not in held:
        return Told(row, why="row")
    content: JsonValue | Parted = None
    try:
        if row.source is not None:
            content = _BY_TABLE[table_and_id(row.source)[0]].open(held[row.source], at_rest)
        statement = Statement(row.tenant, row.kind, row.subject, row.at, row.said, row.source, content)
        statement.document(master)
    except _UNREADABLE:
        return Told(row, why="sealed")
    return Told(row, master, statement)


def is_of_no_court(row: AnyRow) -> bool:
    """Whether an entry is, by what stands in clear in it, of what a bundle says nothing of."""
    return row.kind in _HER_OWN or table_and_id(row.source)[0] in _OF_NO_COURT


def _is_untold(told: Told) -> bool:
    """The same by what it holds."""
    content = None if told.statement is None else told.statement.content
    columns = content.columns if isinstance(content, Parted) else content
    if is_of_no_court(told.row):
        return True
    if table_and_id(told.row.source)[0] == "looks" and isinstance(columns, Mapping):
        return columns.get("purpose") in _UNTOLD_LOOKS
    event = told.parts.get(EVENT)
    terms = event.get("terms") if isinstance(event, dict) else None
    return isinstance(terms, dict) and terms.get("basis") in _BY_ORDER


def _is_withheld(told: Told) -> bool:
    """Whether it is of a record that has nothing a bundle shows, or of what is no court's: not even that there is one
    is told.

    One that does not match its entry is never left out: who changes a record's kind must not hide it by that.
    """
    if told.statement is None:
        return told.why is None and is_of_no_court(told.row)
    if not told.matches:
        return False
    if _is_untold(told):
        return True
    content = told.statement.content
    if not isinstance(content, Parted) or table_and_id(told.statement.source)[0] != "records":
        return False
    contract = RECORDS.get(str(content.columns["kind"]))
    return contract is not None and not {each.value for each in categories_of(contract)} & verify.SHOWN


def _said(told: Told, before: Mapping[str | None, Told]) -> dict[str, Any]:
    if told.why is not None:
        return {"unreadable": told.why}
    if told.statement is None:
        return {"erased": True}
    if not told.matches and _is_untold(told):
        return {"unreadable": "sealed"}  # a court must see that it was changed, and never what it is of
    document: dict[str, Any] = {"salt": _base64(entry_salt(told.master)), "document": told.statement.told(told.master)}
    if not told.matches:
        return {**document, "opened": {}}
    shown = {
        name: {"salt": _base64(part_salt(told.master, name)), "value": value}
        for name, value in told.parts.items()
        if name in verify.PARTS_SHOWN and (name != REASON or _may_say_why(told, before))
    }
    return {**document, "opened": shown}


def _may_say_why(told: Told, before: Mapping[str | None, Told]) -> bool:
    """A reason is free text, and tells of what was corrected: it is shown where the correction left alone all that is
    withheld."""
    content = None if told.statement is None else told.statement.content
    corrects = content.columns["corrects"] if isinstance(content, Parted) else None
    if corrects is None:
        return True
    old = before.get(_BY_TABLE["records"].name(UUID(str(corrects))))
    if old is None or not old.matches:
        return False
    hidden = (told.parts.keys() | old.parts.keys()) - verify.PARTS_SHOWN - {WHOLE}
    return all(told.parts.get(name) == old.parts.get(name) for name in hidden)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
