"""The ledger of one service: entries that transactions write, and the Merkle tree that a sequencer makes of them."""

from amanat.ledger.entries import PADDING, Entry, Seals, Statement, append, commitment, enter, entry, open_salt, proves
from amanat.ledger.parts import Parted
from amanat.ledger.sources import Source

__all__ = [
    "PADDING",
    "Entry",
    "Parted",
    "Seals",
    "Source",
    "Statement",
    "append",
    "commitment",
    "enter",
    "entry",
    "open_salt",
    "proves",
]
