"""What was paid for is kept, whole or not at all, under the name of its contents."""

import dataclasses
import errno
import json
import pathlib

import numpy
import pytest

from common.calculators.calculation import Calculation
from common.calculators.ledger import Ledger, LedgerEntry, compute_key


@pytest.fixture
def entry():
    random = numpy.random.default_rng(3)
    coords, forces = random.normal(size=(2, 4, 3)) * numpy.logspace(-9, 3, 12).reshape(4, 3)
    return LedgerEntry(numpy.array([6, 8, 1, 1]), coords, 0, "abc", Calculation(-1.0 / 3.0, forces, "", 0.25))


def test_a_calculation_comes_back_to_the_last_bit(tmp_path, entry):
    ledger = Ledger(tmp_path / "calculations")
    key = ledger.write(entry)
    found = Ledger(tmp_path / "calculations").read(key)
    for name in ("numbers", "coords"):
        assert getattr(found, name).tobytes() == getattr(entry, name).tobytes()
    assert found.calculation.forces.tobytes() == entry.calculation.forces.tobytes()
    assert found.calculation.energy == entry.calculation.energy
    assert (found.charge, found.level, found.calculation.seconds) == (0, "abc", 0.25)
    assert ledger.keys() == [key]


def test_a_failure_is_kept_with_its_reason(tmp_path, entry):
    failed = dataclasses.replace(entry, calculation=Calculation(None, None, "the SCF does not converge", 1.0))
    key = Ledger(tmp_path).write(failed)
    found = Ledger(tmp_path).read(key).calculation
    assert not found.succeeded
    assert (found.energy, found.forces, found.reason) == (None, None, "the SCF does not converge")


def test_what_is_not_there(tmp_path):
    ledger = Ledger(tmp_path / "nowhere")
    assert ledger.read("0" * 64) is None
    assert ledger.keys() == []


def test_everything_that_determines_a_calculation_is_in_its_key(entry):
    def key_of(**changes):
        changed = dataclasses.replace(entry, **changes)
        return compute_key(changed.numbers, changed.coords, changed.charge, changed.level)

    nudged = entry.coords.copy()
    nudged[2, 1] = numpy.nextafter(nudged[2, 1], 10.0)
    keys = [
        key_of(),
        key_of(numbers=numpy.array([6, 7, 1, 1])),
        key_of(coords=nudged),
        key_of(charge=1),
        key_of(level="abd"),
    ]
    assert len(set(keys)) == 5
    assert key_of(coords=numpy.asfortranarray(entry.coords), numbers=entry.numbers.astype(numpy.int32)) == keys[0]


@pytest.mark.parametrize("damage", ["cut", "empty", "no forces", "other shape"])
def test_a_damaged_file_is_named(tmp_path, entry, damage):
    ledger = Ledger(tmp_path)
    path = ledger.path(ledger.write(entry))
    plain = json.loads(path.read_text())
    plain["forces"] = None if damage == "no forces" else plain["forces"][:-1]
    path.write_text({"cut": path.read_text()[:100], "empty": ""}.get(damage, json.dumps(plain)))
    with pytest.raises(ValueError, match=f"{path.name}: damaged"):
        ledger.read(path.stem)


def test_a_file_under_another_name_is_refused(tmp_path, entry):
    ledger = Ledger(tmp_path)
    path = ledger.path(ledger.write(entry))
    path.rename(tmp_path / f"{'0' * 64}.json")
    with pytest.raises(ValueError, match="holds another calculation"):
        ledger.read("0" * 64)


def test_half_a_file_is_never_there(tmp_path, entry, monkeypatch):
    ledger = Ledger(tmp_path)

    def write_half(self, text):
        with self.open("w") as file:
            file.write(text[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", write_half)
    with pytest.raises(OSError, match="No space left") as caught:
        ledger.write(entry)
    assert caught.value.filename.endswith(".json")
    assert list(tmp_path.iterdir()) == []
