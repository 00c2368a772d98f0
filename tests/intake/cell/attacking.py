"""What whoever can sign a bundle's manifest may try with its files. Each attack takes them, and a source of chance."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

from amanat import verify

from .court import edited

Files = dict[str, bytes]


def entry_names(files: Files) -> list[str]:
    return sorted(each for each in files if each.startswith("entries/"))


def some_entry(files: Files, chance: random.Random, fits: Callable[[Any], bool] = lambda _: True) -> str:
    return chance.choice([each for each in entry_names(files) if fits(json.loads(files[each]))])


def with_part(entry: Any) -> bool:
    return bool(entry["opened"])


def swap_two_entries(files: Files, chance: random.Random) -> None:
    one, other = chance.sample(entry_names(files), 2)
    files[one], files[other] = files[other], files[one]


def swap_what_two_say(files: Files, chance: random.Random) -> None:
    one, other = chance.sample(entry_names(files), 2)
    first, second = json.loads(files[one]), json.loads(files[other])
    for name in ("document", "opened", "salt"):
        first[name], second[name] = second[name], first[name]
    files[one], files[other] = verify.canonical(first), verify.canonical(second)


def drop_an_entry(files: Files, chance: random.Random) -> None:
    shown = {each["entry"] for each in json.loads(files["history.json"])["steps"]}
    del files[some_entry(files, chance, lambda entry: entry["position"] in shown)]


def drop_a_gap(files: Files, chance: random.Random) -> None:
    def without(custody: Any) -> None:
        kit = custody["kits"][0]
        gone = chance.choice(kit["gaps"])
        kit["gaps"].remove(gone)
        for half in kit["halves"]:
            half["gaps"] = [each for each in half["gaps"] if each != gone]

    edited(files, "custody.json", without)


def drop_a_half(files: Files, chance: random.Random) -> None:
    edited(files, "custody.json", lambda custody: custody["kits"][0]["halves"].pop(chance.randrange(4)))


def mend_the_index(files: Files, chance: random.Random) -> None:
    name = chance.choice(["gaps", "missing", "consents", "records", "entries", "erased"])
    edited(files, verify.INDEX, lambda index: index["contents"].update({name: 7}))


def change_a_page(files: Files, chance: random.Random) -> None:
    name = chance.choice(sorted(verify.DERIVED))
    lists = {"report.json": "records", "facts.json": "records", "consents.json": "consents", "history.json": "steps",
             "custody.json": "kits"}  # fmt: skip
    edited(files, name, lambda held: chance.choice(held[lists[name]]).update(entry=0, more="x"))


def change_an_opened_part(files: Files, chance: random.Random) -> None:
    def another(entry: Any) -> None:
        entry["opened"][chance.choice(sorted(entry["opened"]))]["value"] = {"opinion": "x"}

    edited(files, some_entry(files, chance, with_part), another)


def open_a_part_of_another_record(files: Files, chance: random.Random) -> None:
    donor = json.loads(files[some_entry(files, chance, lambda entry: "examination" in entry["opened"])])

    def another(entry: Any) -> None:
        entry["opened"]["identity"] = donor["opened"]["examination"]

    edited(files, some_entry(files, chance, lambda entry: "identity" in entry["opened"]), another)


def open_what_is_withheld(files: Files, chance: random.Random) -> None:
    part = chance.choice(["care", "whole", "counselling", "contact", "imagery", "representation", "safety_reason"])
    salt = base64.b64encode(bytes(32)).decode()
    edited(
        files,
        some_entry(files, chance, with_part),
        lambda entry: entry["opened"].update({part: {"salt": salt, "value": {}}}),
    )


def change_a_document(files: Files, chance: random.Random) -> None:
    name = chance.choice(["tenant", "kind", "subject", "at", "source"])
    edited(files, some_entry(files, chance), lambda entry: entry["document"].update({name: "x"}))


def change_what_it_says(files: Files, chance: random.Random) -> None:
    edited(files, some_entry(files, chance), lambda entry: entry["document"]["said"].update(more=1))


def change_a_proof(files: Files, chance: random.Random) -> None:
    def other(entry: Any) -> None:
        proof = entry["proof"]
        way = chance.randrange(4)
        if way == 0:
            proof[chance.randrange(len(proof))] = base64.b64encode(chance.randbytes(32)).decode()
        elif way == 1:
            proof.pop()
        elif way == 2:
            proof.append(proof[0])
        else:
            proof.reverse()

    edited(files, some_entry(files, chance), other)


def change_a_leaf(files: Files, chance: random.Random) -> None:
    leaf = base64.b64encode(chance.randbytes(32)).decode()
    edited(files, some_entry(files, chance), lambda entry: entry.update(leaf=leaf))


def change_a_salt(files: Files, chance: random.Random) -> None:
    salt = base64.b64encode(chance.randbytes(32)).decode()
    edited(files, some_entry(files, chance), lambda entry: entry.update(salt=salt))


def misplace(files: Files, chance: random.Random) -> None:
    name = some_entry(files, chance)
    files[f"entries/{chance.randrange(40, 99):012d}.json"] = files.pop(name)


def say_another_position(files: Files, chance: random.Random) -> None:
    wrong = chance.choice([-1, True, 0.5, 2**53 - 1, "0", None, 10**18 % (2**53)])
    edited(files, some_entry(files, chance), lambda entry: entry.update(position=wrong))


def say_it_was_erased(files: Files, chance: random.Random) -> None:
    name = some_entry(files, chance)
    entry = json.loads(files[name])
    files[name] = verify.canonical({**{each: entry[each] for each in ("position", "leaf", "proof")}, "erased": True})


def say_it_cannot_be_read(files: Files, chance: random.Random) -> None:
    name = some_entry(files, chance)
    entry = json.loads(files[name])
    kept = {each: entry[each] for each in ("position", "leaf", "proof")}
    files[name] = verify.canonical({**kept, "unreadable": chance.choice(["row", "salt", "sealed", "leaf", "tired"])})


def spell_it_otherwise(files: Files, chance: random.Random) -> None:
    name = chance.choice([verify.INDEX, verify.KEYS, *verify.DERIVED, some_entry(files, chance)])
    text = files[name].decode()
    files[name] = chance.choice([f" {text}", f"{text}\n", json.dumps(json.loads(text)), '{"a":1,' + text[1:],
                                 f"{text[:-1]},{text[1:]}", "[" * 100_000, "\ufeff" + text]).encode()  # fmt: skip


def no_json_at_all(files: Files, chance: random.Random) -> None:
    name = chance.choice([verify.INDEX, verify.KEYS, *verify.DERIVED, some_entry(files, chance)])
    files[name] = chance.choice([b"", b"\xff\xfe", b"null", b"[]", b"NaN", b"1e999", b'"x"', b"{}", b"-0", b"[1e400]"])


def another_file(files: Files, chance: random.Random) -> None:
    name = chance.choice(
        [verify.STAMP, "extra.json", "entries/1.json", "a/../manifest.json", "looks.json", "timestamps/a.tsr"]
    )
    files[name] = b'{"looks":[]}'


def a_file_less(files: Files, chance: random.Random) -> None:
    del files[
        chance.choice([each for each in files if each not in (verify.MANIFEST, verify.NOTE) and "entr" not in each])
    ]


def no_cosignature(files: Files, chance: random.Random) -> None:
    files[verify.COSIGNATURES] = chance.choice([b"", b"\n", b"x\n"])


def the_same_cosignature_twice(files: Files, chance: random.Random) -> None:
    lines = files[verify.COSIGNATURES].decode().splitlines(keepends=True)
    files[verify.COSIGNATURES] = "".join(chance.choice([lines + lines[-1:], lines[::-1], [lines[0]] * 2])).encode()


def another_case(files: Files, chance: random.Random) -> None:
    name = chance.choice(["case", "cell", "bundle", "made_at"])
    other = {"id": "arcc-lahore", "name": {"en": "x", "ur": "x"}} if name == "cell" else "C-1111-1111-1"
    edited(files, verify.INDEX, lambda index: index.update({name: other}))


def another_size(files: Files, chance: random.Random) -> None:
    origin, size, *rest = files[verify.CHECKPOINT].decode().split("\n")
    files[verify.CHECKPOINT] = "\n".join([origin, str(int(size) + chance.choice([-1, 1, 2**40])), *rest]).encode()


def who_looked_without_an_order(files: Files, chance: random.Random) -> None:
    files[verify.LOOKS] = b'{"looks":[]}'
    basis = chance.choice(["consent", "statutory_duty"])
    edited(files, verify.INDEX, lambda index: index.update(looks=True, basis=basis))


NO_INDEX = (
    ("basis", "because"), ("looks", 1), ("pdf", False), ("referrals", [1]), ("referrals", "x"), ("waiting", {}),
    ("reference", None), ("cell", "x"), ("without_entry", [1]), ("without_entry", {}), ("waiting", [{}]),
)  # fmt: skip


def no_such_basis(files: Files, chance: random.Random) -> None:
    name, value = chance.choice(NO_INDEX)
    # A machine without Pango makes no page of paper; then to say that there is one is the lie.
    edited(files, verify.INDEX, lambda index: index.update({name: value if name != "pdf" else not index[name]}))


def not_these_referrals(files: Files, chance: random.Random) -> None:
    edited(files, verify.INDEX, lambda index: index["referrals"].pop(chance.randrange(2)))


BY_WHO_SIGNS = (
    swap_two_entries, swap_what_two_say, drop_an_entry, drop_a_gap, drop_a_half, mend_the_index, change_a_page,
    change_an_opened_part, open_a_part_of_another_record, open_what_is_withheld, change_a_document, change_what_it_says,
    change_a_proof, change_a_leaf, change_a_salt, misplace, say_another_position, say_it_was_erased,
    say_it_cannot_be_read, spell_it_otherwise, no_json_at_all, another_file, a_file_less, no_cosignature,
    the_same_cosignature_twice, another_case, another_size, who_looked_without_an_order, no_such_basis,
    not_these_referrals,
)  # fmt: skip
