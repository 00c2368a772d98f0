"""The files of a court bundle, from a case's entries and rows. What may not be shown is never put in: an opened part is
one of `verify.PARTS_SHOWN`, and an entry of a record that holds nothing else is left out."""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import canonical, merkle, verify
from amanat.contracts.records import RECORDS, categories_of
from amanat.db import AnyRow
from amanat.directory import Directory
from amanat.ledger import Seals, Statement, open_salt, proves
from amanat.ledger.entries import instant
from amanat.ledger.parts import Parted, entry_salt, part_salt
from amanat.ledger.reading import table_and_id
from amanat.ledger.tree import read_nodes
from amanat.merkle import Node
from amanat.sealing import Unopenable
from intake.service.sources import BREAK_GLASS, REASON, SOURCES

Held = Mapping[str, Mapping[str, Any]]
"""Rows that entries name, sealed, by the name."""
_BY_TABLE = {source.table.name: source for source in SOURCES}
_BESIDE = frozenset({"size", "checkpoint", "cosignatures", "keys", "stamp", "untold"})
"""What of a frame has files of its own, or is kept beside it, and does not stand in the index."""
_OF_NO_COURT = frozenset(source.table.name for source in BREAK_GLASS)
"""Rows of which a bundle says nothing: an emergency's reason may tell of her treatment, and an order may be secret."""
_HER_OWN = frozenset({"claim_issued", "claim_ended", "withdrawn_from_afar", "withdrawal_undone"})
"""Kinds of entries that tell of her own page: whether she has one is hers to say."""
_UNTOLD_LOOKS = frozenset({"own_view", "clinical_emergency", "emergency_review"})
"""Looks, by their purpose, that would tell of either."""
_UNREADABLE = (Unopenable, ValueError, TypeError, KeyError, OverflowError)


@dataclass(frozen=True)
class Told:
    """One entry, opened: what it says under which master, or why that cannot be known (`why`). `untold`: it tells of
    an order (`court_orders`)."""

    row: AnyRow
    master: bytes = b""
    statement: Statement | None = None
    why: str | None = None
    untold: bool = False

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


def is_under(row: AnyRow, size: int) -> bool:
    """Whether an entry stands in the tree of this size."""
    return row.position is not None and row.position < size


def is_lost(row: AnyRow) -> bool:
    """Whether it has lost the leaf that it had."""
    return row.position is None and bool(row.passed)


def opened(rows: Iterable[AnyRow], held: Held, at_rest: Seals) -> list[Told]:
    """What these entries say by what stands in the tables now."""
    return [_opened(row, held, at_rest) for row in rows]


def shown_of(told: Iterable[Told]) -> list[Told]:
    """Those that a bundle shows, or says that it cannot."""
    return [each for each in told if not _is_withheld(each)]


def entries_of(shown: Iterable[Told], nodes: Mapping[Node, bytes], size: int) -> dict[str, bytes]:
    """The entries' files by name."""
    files = {}
    for each in shown:
        position = each.row.position
        try:
            proof = merkle.inclusion_proof(position, size, nodes)
        except KeyError:
            proof = []  # a node that somebody took out: a verifier rejects the entry, and says which
        said: dict[str, Any] = {
            "position": position,
            "leaf": _base64(bytes(each.row.hash)),
            "proof": [_base64(digest) for digest in proof],
            **_said(each),
        }
        files[f"entries/{position:012d}.json"] = canonical.dumps(said)
    return files


def waiting_of(late: Iterable[Told]) -> list[dict[str, Any]]:
    """Entries that no cosigned checkpoint holds yet: named, and not shown."""
    return [
        {"kind": each.row.kind, "subject": each.row.subject, "at": instant(each.row.at)}
        for each in late
        if not (is_of_no_court(each) or _is_withheld(each))
    ]


def named_of(shown: Iterable[Told]) -> frozenset[str]:
    """What the shown entries are of: a case, referrals, kits."""
    return frozenset(each.row.subject for each in shown if each.statement is not None and not _is_untold(each))


def name_of_lost(told: Told) -> str:
    """An entry whose leaf was taken out; of what is no court's only that there was one."""
    row, kind = told.row, "entry" if is_of_no_court(told) else told.row.kind
    return f"{kind}, {instant(row.at)}" if row.source is None or kind == "entry" else str(row.source)


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
        **{name: canonical.dumps(page) for name, page in made.items()},
        verify.INDEX: canonical.dumps(index),
        verify.KEYS: canonical.dumps(frame["keys"]),
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


def is_of_no_court(told: Told) -> bool:
    """Whether an entry is, whatever can be read of it, of what a bundle says nothing of."""
    return told.untold or told.row.kind in _HER_OWN or table_and_id(told.row.source)[0] in _OF_NO_COURT


def _is_untold(told: Told) -> bool:
    """The same by what it holds."""
    if is_of_no_court(told):
        return True
    content = None if told.statement is None else told.statement.content
    columns = content.columns if isinstance(content, Parted) else content
    if table_and_id(told.row.source)[0] == "looks" and isinstance(columns, Mapping):
        return columns.get("purpose") in _UNTOLD_LOOKS
    return False


def _is_withheld(told: Told) -> bool:
    """Whether it is of a record that has nothing a bundle shows, or of what is no court's: not even that there is one
    is told.

    One that does not match its entry is never left out: who changes a record's kind must not hide it by that.
    """
    if told.statement is None:
        return told.why is None and is_of_no_court(told)
    if not told.matches:
        return False
    if _is_untold(told):
        return True
    content = told.statement.content
    if not isinstance(content, Parted) or table_and_id(told.statement.source)[0] != "records":
        return False
    contract = RECORDS.get(str(content.columns["kind"]))
    return contract is not None and not {each.value for each in categories_of(contract)} & verify.SHOWN


def _said(told: Told) -> dict[str, Any]:
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
        if name in verify.PARTS_SHOWN and (name != REASON or _may_say_why(told))
    }
    return {**document, "opened": shown}


def _may_say_why(told: Told) -> bool:
    """A reason is free text, and tells of what was corrected: it is shown where that can be nothing withheld. Whether
    it was is not asked, or a reason that is missing would tell."""
    content = None if told.statement is None else told.statement.content
    if not isinstance(content, Parted):
        return False
    contract = RECORDS.get(str(content.columns["kind"]))
    corrects = content.columns["corrects"] is not None
    return not corrects or (contract is not None and {each.value for each in categories_of(contract)} <= verify.SHOWN)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
