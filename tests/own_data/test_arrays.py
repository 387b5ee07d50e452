"""``.npz`` files as those of MD17 and its revision."""

import dataclasses

import numpy
import pytest

from common.own_data.arrays import find_blocks, read_block
from common.own_data.records import InputError, Reading
from common.own_data.units import parse_units
from tests.own_data.checks import check_same, read_all
from tests.own_data.samples import get_total, list_numbers, read_samples, write_arrays

ENTRY = read_samples()["n-methylacetamide"]


@pytest.mark.parametrize("names", [("R", "z", "E", "F"), ("coords", "nuclear_charges", "energies", "forces")])
@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_the_same_numbers_arrive(tmp_path, names, save):
    values = (ENTRY.coords, list_numbers(ENTRY), get_total(ENTRY), ENTRY.forces)
    save(tmp_path / "mine.npz", smiles=ENTRY.smiles, **dict(zip(names, values, strict=True)))
    [found] = read_all(tmp_path / "mine.npz")
    check_same(found, ENTRY, 1e-9)


def test_a_part_is_read_without_the_rest(tmp_path):
    write_arrays(tmp_path / "mine.npz", ENTRY)
    reading = Reading(parse_units("kcal/mol", "angstrom"))
    [block] = find_blocks(tmp_path / "mine.npz", reading)
    assert block.n_confs == ENTRY.n_confs
    part = read_block(dataclasses.replace(block, places=block.places[2:4]), reading)
    numpy.testing.assert_array_equal(part.coords, ENTRY.coords[2:4])
    numpy.testing.assert_array_equal(part.energy, get_total(ENTRY)[2:4])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"R": numpy.zeros((1, 2, 3)), "z": [1, 1]}, "no array E or energies or energy, only R, z"),
        ({"R": numpy.zeros((1, 3, 3)), "z": [1, 1], "E": [0.0]}, r"shape \(1, 3, 3\), expected \(n_confs, 2, 3\)"),
    ],
)
def test_damage_is_named(tmp_path, arrays, message):
    numpy.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_all(tmp_path / "bad.npz")


def test_what_is_no_archive_is_named(tmp_path):
    (tmp_path / "bad.npz").write_text("text")
    with pytest.raises(InputError, match=r"no \.npz file"):
        read_all(tmp_path / "bad.npz")
