"""Merkle trees of RFC 9162, section 2.1, over SHA-256: roots, proofs, and their verification. Pure: no storage, no I/O.

Source of the rules: RFC 9162, sections 2.1.1 (roots), 2.1.3 (inclusion), 2.1.4 (consistency). All hashes are 32 bytes.

A node is addressed as (level, position): the complete subtree of 2**level leaves that begins at leaf position*2**level,
counted from 0; level 0 are the leaves. A complete subtree never changes again, so its hash may be stored. The subtrees
at a tree's right edge that are not complete are computed from complete ones. A proof needs O(log size) nodes:
`nodes_for_inclusion` and `nodes_for_consistency` name them, so that they can be read before the proof is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

Node = tuple[int, int]

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = hashlib.sha256(b"").digest()
_LEAF, _INNER = b"\x00", b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    return hashlib.sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), of two hashes."""
    return hashlib.sha256(_INNER + left + right).digest()


def frontier(size: int) -> list[Node]:
    """The complete subtrees that make up a tree of `size` leaves, left to right: one per bit that is set in `size`.

    Raises ValueError if `size` is negative.
    """
    if size < 0:
        raise ValueError("a tree has no negative size")
    return _cover(0, size)


def complete_nodes(size_before: int, leaf_hashes: Sequence[bytes], known: Mapping[Node, bytes]) -> dict[Node, bytes]:
    """The nodes of level 1 and above that become complete when `leaf_hashes` follow on `size_before` leaves.

    `known` holds the frontier of `size_before`, else KeyError. Raises ValueError if a leaf hash has not 32 bytes.
    """
    stack = [known[node] for node in frontier(size_before)]
    nodes: dict[Node, bytes] = {}
    for position, leaf in enumerate(leaf_hashes, size_before):
        for level, digest in enumerate(_push(stack, position, leaf)):
            if level:
                nodes[level, position >> level] = digest
    return nodes


def root_of(size: int, get: Mapping[Node, bytes]) -> bytes:
    """The root of the first `size` leaves. `get` holds the frontier of `size`, else KeyError."""
    return _root([get[node] for node in frontier(size)])


def inclusion_nodes(position: int, size: int) -> list[list[Node]]:
    """For each hash of an inclusion proof, in its order (leaf to root), the complete subtrees it is computed from, left
    to right. Raises ValueError unless 0 <= position < size."""
    if not 0 <= position < size:
        raise ValueError("a leaf stands before the end of its tree")
    start, end = 0, size
    covers: list[list[Node]] = []
    while end - start > 1:
        middle = start + _left_width(end - start)
        if position < middle:
            covers.append(_cover(middle, end))
            end = middle
        else:
            covers.append(_cover(start, middle))
            start = middle
    return covers[::-1]


def consistency_nodes(first: int, second: int) -> list[list[Node]]:
    """As `inclusion_nodes`, for a consistency proof; empty if `first` is 0 or `second`, which need no proof.

    Raises ValueError unless 0 <= first <= second.
    """
    if not 0 <= first <= second:
        raise ValueError("an earlier tree is no larger than a later one")
    if first == 0:
        return []
    start, end = 0, second
    covers: list[list[Node]] = []
    while end != first:
        middle = start + _left_width(end - start)
        if first <= middle:
            covers.append(_cover(middle, end))
            end = middle
        else:
            covers.append(_cover(start, middle))
            start = middle
    # From here on the verifier begins. A first tree that is one complete subtree is its own root, which it has.
    if start > 0:
        covers.append(_cover(start, end))
    return covers[::-1]


def nodes_for_inclusion(position: int, size: int) -> set[Node]:
    """Exactly the complete nodes that `inclusion_proof` reads."""
    return {node for cover in inclusion_nodes(position, size) for node in cover}


def nodes_for_consistency(first: int, second: int) -> set[Node]:
    """Exactly the complete nodes that `consistency_proof` reads."""
    return {node for cover in consistency_nodes(first, second) for node in cover}


def inclusion_proof(position: int, size: int, get: Mapping[Node, bytes]) -> list[bytes]:
    """The proof that a leaf stands at `position` of a tree of `size` leaves (RFC 9162, 2.1.3.1).

    Raises KeyError if `get` lacks one of `nodes_for_inclusion`, ValueError unless 0 <= position < size.
    """
    return [_root([get[node] for node in cover]) for cover in inclusion_nodes(position, size)]


def consistency_proof(first: int, second: int, get: Mapping[Node, bytes]) -> list[bytes]:
    """The proof that a tree of `second` leaves begins with the tree of `first` leaves (RFC 9162, 2.1.4.1).

    Raises KeyError if `get` lacks one of `nodes_for_consistency`, ValueError unless 0 <= first <= second.
    """
    return [_root([get[node] for node in cover]) for cover in consistency_nodes(first, second)]


def verify_inclusion(leaf: bytes, position: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows the leaf hash `leaf` at `position` of the tree of `size` leaves with `root` (RFC 9162,
    2.1.3.2). Never raises: lengths, numbers and proofs may be a stranger's."""
    if not (_are_sizes(position, size) and position < size and _are_hashes(leaf, root, *proof)):
        return False
    at, last, digest = position, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            digest = node_hash(sibling, digest)
            at, last = _up_to_right_child(at, last)
        else:
            digest = node_hash(digest, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and digest == root


def verify_consistency(first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `second` leaves begins with that of `first` leaves (RFC 9162, 2.1.4.2).

    Equal sizes need an empty proof and equal roots. The empty tree (`first` 0, its root EMPTY_ROOT) is consistent with
    any other, with an empty proof: such an answer says nothing about the second tree. Never raises, as above.
    """
    if not (_are_sizes(first, second) and first <= second and _are_hashes(first_root, second_root, *proof)):
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    if not proof:
        return False
    # The trailing ones of first-1: the levels of the complete subtree in which the first tree ends.
    level = (first & -first).bit_length() - 1
    at, last = (first - 1) >> level, (second - 1) >> level
    path = [first_root, *proof] if at == 0 else list(proof)
    earlier = later = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            earlier, later = node_hash(sibling, earlier), node_hash(sibling, later)
            at, last = _up_to_right_child(at, last)
        else:
            later = node_hash(later, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and earlier == first_root and later == second_root


class Stream:
    """A tree of which each leaf is seen once, in order: for a root, and the nodes of a proof, in a single pass.

    Keeps O(log size) hashes, and those that it finds of the `wanted` nodes (of any level).
    """

    def __init__(self, wanted: Collection[Node] = ()) -> None:
        self.size = 0
        self.found: dict[Node, bytes] = {}
        self._stack: list[bytes] = []
        self._due: dict[int, set[int]] = {}
        for level, position in wanted:
            self._due.setdefault(((position + 1) << level) - 1, set()).add(level)

    def add(self, leaf: bytes) -> list[bytes]:
        """The next leaf hash. Gives the complete subtrees that end with it, by level from 0. Raises ValueError if it
        has not 32 bytes."""
        position = self.size
        completed = _push(self._stack, position, leaf)
        self.size = position + 1
        for level in self._due.get(position, ()):
            self.found[level, position >> level] = completed[level]
        return completed

    def root(self) -> bytes:
        """The root of the leaves so far."""
        return _root(self._stack)


def _left_width(width: int) -> int:
    """The largest power of two below `width`, which is 2 or more: how many leaves stand under its left child."""
    return 1 << ((width - 1).bit_length() - 1)


def _cover(start: int, end: int) -> list[Node]:
    """The complete subtrees of the range [start, end) of leaves, which is itself a subtree of an RFC 9162 tree."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _root(complete: Sequence[bytes]) -> bytes:
    """The root over complete subtrees that follow each other, each smaller than the one before."""
    if not complete:
        return EMPTY_ROOT
    digest = complete[-1]
    for left in reversed(complete[:-1]):
        digest = node_hash(left, digest)
    return digest


def _push(stack: list[bytes], position: int, leaf: bytes) -> list[bytes]:
    """Puts a leaf on the frontier of `position` leaves. Gives the subtrees that it completes, by level from 0."""
    if len(leaf) != HASH_BYTES:
        raise ValueError("a leaf hash has 32 bytes")
    completed = [leaf]
    while position & 1:
        leaf = node_hash(stack.pop(), leaf)
        completed.append(leaf)
        position >>= 1
    stack.append(leaf)
    return completed


def _up_to_right_child(at: int, last: int) -> tuple[int, int]:
    """Past the levels on which a node at the right edge has no sibling."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last


def _are_sizes(*numbers: int) -> bool:
    return all(isinstance(number, int) and 0 <= number <= MAX_SIZE for number in numbers)


def _are_hashes(*values: bytes) -> bool:
    return all(isinstance(value, bytes) and len(value) == HASH_BYTES for value in values)
