"""Merkle trees of RFC 9162: against known vectors, another implementation, and whoever forges proofs."""

from __future__ import annotations

import hashlib
from functools import reduce

import pymerkle
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from amanat import merkle
from amanat.merkle import EMPTY_ROOT, Node, Stream, frontier, leaf_hash, root_of
from amanat.merkle import verify_consistency as consistent
from amanat.merkle import verify_inclusion as included

LARGEST = 200
LEAVES = [leaf_hash(number.to_bytes(2, "big")) for number in range(LARGEST)]

# The vectors that Certificate Transparency's implementations have in common (RFC 6962, whose hashing RFC 9162 keeps).
DATA = [b"", b"\x00", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
BESIDE_0 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
PAIR_4 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
PAIR_6 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"


def stored(leaves: list[bytes]) -> dict[Node, bytes]:
    """All complete nodes, as a database would hold them."""
    return {(0, position): leaf for position, leaf in enumerate(leaves)} | merkle.complete_nodes(0, leaves, {})


NODES = stored(LEAVES)
KNOWN = stored([leaf_hash(each) for each in DATA])


@pytest.fixture(scope="module")
def other() -> pymerkle.InmemoryTree:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    tree.append_entries(number.to_bytes(2, "big") for number in range(LARGEST))
    return tree


def as_in_the_rfc(proof: pymerkle.ConsistencyProof) -> list[bytes]:
    """pymerkle's consistency proof in the RFC's form. It splits the subtree just after the first tree down to a leaf,
    where the RFC has one hash, and gives the first tree's root also where the verifier has it."""
    if proof.prior_size == proof.size:
        return []
    end = proof.subset.index(1)
    after = proof.path[0]
    for right in proof.path[1:end]:
        after = proof.hasher.hash_pair(after, right)
    begin = [] if sum(proof.subset) == 1 else [proof.path[end]]
    return [*begin, after, *proof.path[end + 1 :]]


def test_hashes_and_roots_are_those_of_the_known_vectors() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert merkle.node_hash(left, right) == hashlib.sha256(b"\x01" + left + right).digest()
    assert [root_of(size, KNOWN).hex() for size in range(9)] == ROOTS
    assert EMPTY_ROOT.hex() == ROOTS[0]


def test_proofs_are_those_of_the_known_vectors() -> None:
    for position, size, known in ((0, 1, []), (0, 8, BESIDE_0), (5, 8, [LEAF_4, PAIR_6, ROOTS[4]])):
        proof = merkle.inclusion_proof(position, size, KNOWN)
        assert [each.hex() for each in proof] == known
        assert included(leaf_hash(DATA[position]), position, size, proof, bytes.fromhex(ROOTS[size]))
    for first, second, known in ((1, 8, BESIDE_0), (6, 8, [PAIR_4, PAIR_6, ROOTS[4]]), (2, 5, [BESIDE_0[1], LEAF_4])):
        proof = merkle.consistency_proof(first, second, KNOWN)
        assert [each.hex() for each in proof] == known
        assert consistent(first, second, proof, bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second]))


def test_every_root_and_inclusion_proof_is_that_of_another_implementation(other: pymerkle.InmemoryTree) -> None:
    for size in range(1, LARGEST + 1):
        root = root_of(size, NODES)
        assert root == other.get_root(size)
        for position in range(size):
            theirs = other.prove_inclusion(position + 1, size)
            ours = merkle.inclusion_proof(position, size, NODES)
            assert [LEAVES[position], *ours] == theirs.path
            assert included(LEAVES[position], position, size, ours, root)


def test_every_consistency_proof_is_that_of_another_implementation(other: pymerkle.InmemoryTree) -> None:
    for second in range(1, LARGEST + 1):
        for first in range(1, second + 1):
            theirs = other.prove_consistency(first, second)
            ours = merkle.consistency_proof(first, second, NODES)
            assert ours == as_in_the_rfc(theirs)
            assert consistent(first, second, ours, root_of(first, NODES), theirs.compute_root())


def test_a_proof_needs_few_nodes_and_complete_ones_alone() -> None:
    for size in (*range(1, LARGEST), 10**15 + 1, 10**18):
        for number in range(max(0, size - LARGEST), size):
            for nodes in (merkle.nodes_for_inclusion(number, size), merkle.nodes_for_consistency(number, size)):
                assert all((position + 1) << level <= size for level, position in nodes)
                assert len(nodes) <= 2 * size.bit_length()


@given(st.integers(1, LARGEST), st.data())
def test_a_proof_reads_exactly_the_nodes_that_are_named_for_it(size: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, size - 1))
    for needed, proof in (
        (merkle.nodes_for_inclusion(number, size), merkle.inclusion_proof),
        (merkle.nodes_for_consistency(number, size), merkle.consistency_proof),
    ):
        read = {node: NODES[node] for node in needed}
        assert proof(number, size, read) == proof(number, size, NODES)
        for node in needed:
            with pytest.raises(KeyError):
                proof(number, size, {each: digest for each, digest in read.items() if each != node})


@given(st.integers(0, LARGEST), st.lists(st.integers(0, 20), max_size=20))
def test_nodes_are_the_same_however_the_leaves_come_in(size: int, batches: list[int]) -> None:
    known: dict[Node, bytes] = {}
    at = 0
    for batch in [*batches, size]:
        leaves = LEAVES[at : min(at + batch, size)]
        known |= {(0, at + offset): leaf for offset, leaf in enumerate(leaves)}
        new = merkle.complete_nodes(at, leaves, {node: known[node] for node in frontier(at)})
        assert all(level > 0 for level, _ in new)
        known |= new
        at += len(leaves)
    assert known == stored(LEAVES[:size])


@given(st.integers(0, LARGEST), st.data())
def test_a_stream_gives_the_root_and_any_nodes_in_a_single_pass(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size))
    wanted = merkle.nodes_for_consistency(first, size) | set(frontier(first))
    all_nodes, some = Stream(wanted=NODES), Stream(wanted)
    for leaf in LEAVES[:size]:
        all_nodes.add(leaf)
        some.add(leaf)
    assert (some.size, some.root()) == (size, root_of(size, NODES))
    assert (all_nodes.found, set(some.found)) == (stored(LEAVES[:size]), wanted)
    proof = merkle.consistency_proof(first, size, some.found)
    assert consistent(first, size, proof, root_of(first, some.found), some.root())


@pytest.mark.parametrize("leaf", [b"", bytes(31), bytes(33)])
def test_a_leaf_hash_of_another_length_is_refused(leaf: bytes) -> None:
    stream = Stream()
    with pytest.raises(ValueError, match="32 bytes"):
        stream.add(leaf)
    assert (stream.size, stream.root()) == (0, EMPTY_ROOT)
    with pytest.raises(ValueError, match="32 bytes"):
        merkle.complete_nodes(0, [LEAVES[0], leaf], {})


def test_no_proof_is_made_of_what_is_not_in_the_tree() -> None:
    for position, size in ((-1, 5), (5, 5), (0, 0)):
        with pytest.raises(ValueError, match="before the end"):
            merkle.inclusion_proof(position, size, NODES)
    for first, second in ((-1, 5), (6, 5), (-2, -1)):
        with pytest.raises(ValueError, match="no larger"):
            merkle.consistency_proof(first, second, NODES)
    with pytest.raises(ValueError, match="negative"):
        frontier(-1)
    with pytest.raises(KeyError):
        merkle.complete_nodes(3, [LEAVES[3]], {})


hashes = st.binary(min_size=32, max_size=32)


@st.composite
def altered(draw: st.DrawFn, proof: list[bytes]) -> list[bytes]:
    """A proof with one byte changed, or one hash dropped, added or swapped with another one."""
    how = draw(st.sampled_from(["change", "drop", "add", "swap"] if proof else ["add"]))
    at, to = (draw(st.integers(0, max(len(proof) - 1, 0))) for _ in range(2))
    new = list(proof)
    if how == "add":
        new.insert(draw(st.integers(0, len(proof))), draw(hashes | st.sampled_from(proof) if proof else hashes))
    elif how == "drop":
        del new[at]
    elif how == "swap":
        new[at], new[to] = new[to], new[at]
    else:
        mask = draw(st.integers(1, 255)) << 8 * draw(st.integers(0, 31))
        new[at] = (int.from_bytes(new[at], "big") ^ mask).to_bytes(32, "big")
    assume(new != proof)
    return new


@settings(max_examples=500)
@given(st.integers(1, LARGEST), st.data())
def test_an_altered_proof_is_refused(size: int, data: st.DataObject) -> None:
    root, number = root_of(size, NODES), data.draw(st.integers(0, size - 1))
    proof = data.draw(altered(merkle.inclusion_proof(number, size, NODES)))
    assert not included(LEAVES[number], number, size, proof, root)
    proof = data.draw(altered(merkle.consistency_proof(number, size, NODES)))
    assert not consistent(number, size, proof, root_of(number, NODES), root)


def test_a_proof_is_good_for_its_own_leaf_and_position_alone() -> None:
    for size in range(1, 34):
        root = root_of(size, NODES)
        for position in range(size):
            proof = merkle.inclusion_proof(position, size, NODES)
            for another in set(range(size)) - {position}:
                assert not included(LEAVES[another], position, size, proof, root)
                assert not included(LEAVES[position], another, size, proof, root)
                assert not included(LEAVES[another], another, size, proof, root)


def test_a_rewritten_tree_is_not_consistent_with_the_one_before() -> None:
    for second in range(2, 34):
        for rewritten in range(second):
            forged = stored([*LEAVES[:rewritten], leaf_hash(b"forged"), *LEAVES[rewritten + 1 : second]])
            for first in range(rewritten + 1, second + 1):
                proof = merkle.consistency_proof(first, second, forged)
                assert not consistent(first, second, proof, root_of(first, NODES), root_of(second, forged))


def test_a_tree_is_consistent_with_itself_and_with_the_empty_one_and_does_not_shrink() -> None:
    root, smaller = root_of(5, NODES), root_of(3, NODES)
    assert consistent(5, 5, [], root, root)
    assert consistent(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    assert consistent(0, 5, [], EMPTY_ROOT, root)
    for proof, first_root in (([root], EMPTY_ROOT), ([], root)):
        assert not consistent(0, 5, proof, first_root, root)
    for first, second, proof in ((5, 5, [root]), (5, 3, merkle.consistency_proof(3, 5, NODES)), (5, 3, [])):
        assert not consistent(first, second, proof, root, root if first == second else smaller)
    assert not consistent(5, 5, [], root, smaller)
    assert not consistent(5, 0, [], root, EMPTY_ROOT)


numbers = st.integers(-3, 300) | st.integers() | st.sampled_from([2**63 - 1, 2**63, 2**64, 10**400, -(10**400)])
anything = st.binary(max_size=40) | hashes


@settings(max_examples=500)
@given(numbers, numbers, st.lists(anything, max_size=80), anything, anything)
def test_hostile_input_never_raises(one: int, two: int, proof: list[bytes], hash_one: bytes, hash_two: bytes) -> None:
    assert included(hash_one, one, two, proof, hash_two) in {True, False}
    assert consistent(one, two, proof, hash_one, hash_two) in {True, False}


def test_a_number_that_no_tree_has_is_refused_though_the_roots_fit() -> None:
    leaf, beside = LEAVES[:2]
    for position, size in ((-1, 1), (1, 1), (0, 0), (0, -1), (0, None), (None, 1), ("0", 1), (0, 1.0)):
        assert not included(leaf, position, size, [], leaf)
    for first, second in ((-1, 1), (0, -1), (None, 1), (1, None), ("1", 1), (1, 1.0)):
        assert not consistent(first, second, [], leaf, leaf)
    assert not consistent(3, 2, [leaf, beside], leaf, merkle.node_hash(leaf, beside))
    root = reduce(merkle.node_hash, [beside] * 63, leaf)
    assert included(leaf, 0, 2**63 - 1, [beside] * 63, root)
    assert not included(leaf, 0, 2**63, [beside] * 63, root)


def test_a_proof_too_long_or_too_short_is_refused_though_the_roots_fit() -> None:
    leaf, beside = LEAVES[:2]
    pair = merkle.node_hash(leaf, beside)
    assert included(leaf, 0, 2, [beside], pair)
    assert not included(leaf, 0, 4, [beside], pair)
    assert not included(leaf, 0, 1, [beside], merkle.node_hash(beside, leaf))
    assert consistent(1, 2, [beside], leaf, pair)
    assert not consistent(1, 4, [beside], leaf, pair)
    roots = (merkle.node_hash(leaf, root_of(size, NODES)) for size in (3, 4))
    assert not consistent(3, 4, [*merkle.consistency_proof(3, 4, NODES), leaf], *roots)


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33), None, "0" * 32, [0] * 32])
def test_what_is_no_hash_is_refused_wherever_it_stands(wrong: object) -> None:
    root, leaf = root_of(2, NODES), LEAVES[0]
    assert included(leaf, 0, 2, [LEAVES[1]], root)
    assert consistent(1, 2, [LEAVES[1]], leaf, root)
    for of_leaf, proof, of_root in ((wrong, [LEAVES[1]], root), (leaf, [wrong], root), (leaf, [LEAVES[1]], wrong)):
        assert not included(of_leaf, 0, 2, proof, of_root)
        assert not consistent(1, 2, proof, of_leaf, of_root)
    assert not included(wrong, 0, 1, [], wrong)
    assert not consistent(5, 5, [], wrong, wrong)
    assert not consistent(0, 5, [], EMPTY_ROOT, wrong)
