"""The key-encryption key by generations: `main` seals, the gate unseals, a destroyed generation opens nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanat.kek import (
    FileKekPrivate,
    FileKekPublic,
    GenerationInUse,
    KekPrivate,
    KekPublic,
    NoGeneration,
    RequestSecret,
    unwrap,
)
from amanat.sealing import DataKey, Unopenable, mint


class Folders:
    def __init__(self, root: Path) -> None:
        self.public_dir, self.private_dir = root / "public", root / "private"

    def gate(self) -> FileKekPrivate:
        return FileKekPrivate(self.public_dir, self.private_dir)

    def main(self) -> FileKekPublic:
        return FileKekPublic(self.public_dir)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_the_file_providers_are_the_two_halves(folders: Folders) -> None:
    public: KekPublic = folders.main()
    private: KekPrivate = folders.gate()
    assert private.create() == 1
    assert public.current() == 1


def test_nothing_can_be_sealed_before_the_first_generation(folders: Folders) -> None:
    with pytest.raises(NoGeneration):
        folders.main().current()
    with pytest.raises(NoGeneration):
        RequestSecret.new(folders.main(), os.urandom)
    with pytest.raises(NoGeneration):
        folders.main().seal(1, b"s" * 32)


def test_a_batch_is_unsealed_in_the_order_given(folders: Folders) -> None:
    gate, main = folders.gate(), folders.main()
    generation = gate.create()
    secrets = [bytes([n]) * 32 for n in (3, 1, 2)]
    assert gate.unseal(generation, [main.seal(generation, each) for each in secrets]) == secrets
    assert gate.unseal(generation, []) == []


def test_a_sealed_secret_of_generation_1_opens_after_rotation_only_while_generation_1_is_alive(
    folders: Folders,
) -> None:
    gate, main = folders.gate(), folders.main()
    gate.create()
    sealed = main.seal(main.current(), b"s" * 32)
    assert gate.create() == main.current() == 2
    assert gate.unseal(1, [sealed]) == [b"s" * 32]
    gate.destroy(1)
    with pytest.raises(Unopenable):
        gate.unseal(1, [sealed])
    with pytest.raises(Unopenable):
        gate.unseal(2, [sealed])


def test_a_generation_destroyed_by_another_process_opens_nothing_here_either(folders: Folders) -> None:
    gate, other = folders.gate(), folders.gate()
    gate.create()
    sealed = folders.main().seal(1, b"s" * 32)
    assert gate.unseal(1, [sealed]) == [b"s" * 32]
    other.create()
    other.destroy(1)
    with pytest.raises(Unopenable):
        gate.unseal(1, [sealed])


def test_a_destroyed_generation_leaves_no_file_of_its_key(folders: Folders) -> None:
    gate = folders.gate()
    gate.create()
    gate.create()
    gate.destroy(1)
    gate.destroy(1)
    left = sorted(path.name for folder in (folders.public_dir, folders.private_dir) for path in folder.iterdir())
    assert left == ["generation-2.private.pem", "generation-2.public.pem"]
    with pytest.raises(NoGeneration):
        folders.main().seal(1, b"s" * 32)


def test_the_key_is_overwritten_before_it_is_unlinked(folders: Folders) -> None:
    gate = folders.gate()
    gate.create()
    gate.create()
    kept = folders.private_dir / "another-name-of-the-same-inode"
    os.link(folders.private_dir / "generation-1.private.pem", kept)
    gate.destroy(1)
    assert set(kept.read_bytes()) == {0}


def test_the_current_generation_and_one_with_an_older_alive_are_not_destroyed(folders: Folders) -> None:
    gate = folders.gate()
    for _ in range(3):
        gate.create()
    for generation in (2, 3):
        with pytest.raises(GenerationInUse):
            gate.destroy(generation)
    assert gate.generations() == [1, 2, 3]


def test_numbers_of_generations_never_come_again(folders: Folders) -> None:
    gate = folders.gate()
    gate.create()
    gate.create()
    gate.destroy(1)
    assert gate.create() == 3


def test_a_crash_between_the_two_halves_neither_blocks_nor_exposes_the_current_generation(folders: Folders) -> None:
    gate, main = folders.gate(), folders.main()
    gate.create()
    gate.create()
    (folders.public_dir / "generation-2.public.pem").unlink()
    assert main.current() == 1
    with pytest.raises(GenerationInUse):
        gate.destroy(1)
    assert gate.create() == main.current() == 3


def test_main_sees_a_new_generation_without_being_told(folders: Folders) -> None:
    gate, main = folders.gate(), folders.main()
    gate.create()
    assert main.current() == 1
    gate.create()
    assert main.current() == 2


def test_private_halves_are_for_the_gate_s_user_alone(folders: Folders) -> None:
    folders.gate().create()
    mode = (folders.private_dir / "generation-1.private.pem").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_batch_with_one_bad_secret_gives_no_partial_answer(folders: Folders) -> None:
    gate, main = folders.gate(), folders.main()
    gate.create()
    good = main.seal(1, b"s" * 32)
    for bad in (good[:-1], b"", bytes([good[0] ^ 1]) + good[1:]):
        with pytest.raises(Unopenable):
            gate.unseal(1, [good, bad])


class KeptSecrets:
    """A key-encryption key that seals by remembering, so that properties need no RSA."""

    def __init__(self) -> None:
        self.secrets: list[bytes] = []

    def current(self) -> int:
        return 1

    def seal(self, generation: int, secret: bytes) -> bytes:
        self.secrets.append(secret)
        return b"%d" % (len(self.secrets) - 1)

    def unseal(self, sealed: Sequence[bytes]) -> list[bytes]:
        return [self.secrets[int(each)] for each in sealed]


@given(count=st.integers(1, 12))
def test_one_secret_per_request_wraps_all_its_keys(count: int) -> None:
    kek = KeptSecrets()
    request = RequestSecret.new(kek, os.urandom)
    keys = [mint(os.urandom) for _ in range(count)]
    wraps = [request.wrap(key) for key in keys]
    [secret] = kek.unseal([request.sealed])
    assert len(kek.secrets) == 1
    assert [unwrap(secret, key.key_id, wrap) for key, wrap in zip(keys, wraps, strict=True)] == [k.key for k in keys]


@given(data=st.data())
def test_a_wrap_with_any_changed_byte_or_of_another_key_does_not_open(data: st.DataObject) -> None:
    kek = KeptSecrets()
    request = RequestSecret.new(kek, os.urandom)
    key, other = mint(os.urandom), mint(os.urandom)
    wrap = bytearray(request.wrap(key))
    with pytest.raises(Unopenable):
        unwrap(kek.secrets[0], other.key_id, bytes(wrap))
    with pytest.raises(Unopenable):
        unwrap(os.urandom(32), key.key_id, bytes(wrap))
    wrap[data.draw(st.integers(0, len(wrap) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unopenable):
        unwrap(kek.secrets[0], key.key_id, bytes(wrap))


def test_a_backup_s_wrap_of_a_withdrawn_key_does_not_open_after_its_neighbour_was_rewrapped(folders: Folders) -> None:
    gate, main = folders.gate(), folders.main()
    gate.create()
    request = RequestSecret.new(main, os.urandom)
    kept, withdrawn = mint(os.urandom), mint(os.urandom)
    backup = request.wrap(withdrawn)
    live = request.wrap(kept)

    gate.create()
    [old_secret] = gate.unseal(request.generation, [request.sealed])
    fresh = RequestSecret.new(main, os.urandom)
    rewrapped = fresh.wrap(DataKey(kept.key_id, unwrap(old_secret, kept.key_id, live)))
    gate.destroy(1)

    [secret] = gate.unseal(2, [fresh.sealed])
    assert unwrap(secret, kept.key_id, rewrapped) == kept.key
    with pytest.raises(Unopenable):
        unwrap(secret, withdrawn.key_id, backup)
    with pytest.raises(Unopenable):
        gate.unseal(1, [request.sealed])


def test_neither_half_nor_a_request_s_secret_shows_key_material(folders: Folders) -> None:
    gate = folders.gate()
    gate.create()
    secret = RequestSecret.new(folders.main(), lambda n: b"S" * n)
    shown = repr(secret) + repr(gate) + repr(folders.main()) + str(vars(secret))
    assert "SSS" not in shown
    assert "PRIVATE" not in shown
