"""All checks together: correct data of a hundred and more molecules raise none, every mistake is named."""

import gzip
import json

import numpy
import pytest

from common.molecules.mapped_smiles import compute_connectivity_key
from common.plausibility.checks import MAX_CONFS, find_doubts
from common.units import BOHR_TO_ANGSTROM, HARTREE_TO_KCAL_PER_MOL
from tests.helpers import SHARED
from tests.plausibility.samples import count_kinds, list_kinds, permute, read_example

N_ENTRIES = len(read_example())


def test_correct_data_of_all_molecules_of_the_example_raise_no_doubt():
    assert count_kinds() == {}
    assert len({compute_connectivity_key(entry.smiles) for entry in read_example()}) == 72


@pytest.mark.parametrize("name", ["rowley-biaryl", "3bpa"])
def test_correct_data_of_others_raise_no_doubt(name):
    path = SHARED / "data" / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip("needs public data that are not part of the project")
    with gzip.open(path, "rt") as file:
        records = [json.loads(line) for line in file]
    for record in records:
        coords, energy = numpy.array(record["coords"]), numpy.array(record["energy"])
        forces = numpy.full_like(coords, numpy.nan) if record["forces"] is None else numpy.array(record["forces"])
        mean = energy.mean()
        assert find_doubts(record["smiles"], coords, energy - mean, mean, forces) == {}, record["id"]


def test_gradients_for_forces():
    assert count_kinds(forces=lambda entry: -entry.forces) == {"gradients": N_ENTRIES}


def test_coordinates_in_bohr():
    assert count_kinds(coords=lambda entry: entry.coords / BOHR_TO_ANGSTROM) == {"bohr": N_ENTRIES}


def test_coordinates_in_nanometres():
    counts = count_kinds(coords=lambda entry: entry.coords * 0.1)
    assert counts == {"length unit": N_ENTRIES}


def test_energies_and_forces_in_kilojoule():
    counts = count_kinds(
        energy=lambda entry: entry.energy * 4.184,
        offset=lambda entry: entry.energy_offset * 4.184,
        forces=lambda entry: entry.forces * 4.184,
    )
    assert set(counts) == {"kJ/mol"}
    assert counts["kJ/mol"] > 0.75 * N_ENTRIES


def test_energies_alone_in_kilojoule():
    counts = count_kinds(energy=lambda entry: entry.energy * 4.184)
    assert set(counts) == {"energy unit"}
    assert counts["energy unit"] > 0.5 * N_ENTRIES


def test_another_order_of_the_atoms():
    counts = count_kinds(
        coords=lambda entry: permute(entry, entry.coords), forces=lambda entry: permute(entry, entry.forces)
    )
    assert counts["order"] > 0.9 * N_ENTRIES


def test_forces_in_another_order_than_coordinates():
    counts = count_kinds(forces=lambda entry: permute(entry, entry.forces))
    assert counts["orientation"] > 0.85 * N_ENTRIES


def test_energies_through_single_precision():
    def spoil(entry):
        total = (entry.energy + entry.energy_offset) / HARTREE_TO_KCAL_PER_MOL
        return total.astype(numpy.float32).astype(numpy.float64) * HARTREE_TO_KCAL_PER_MOL - entry.energy_offset

    counts = count_kinds(energy=spoil)
    assert counts["single precision"] > 0.9 * N_ENTRIES


def test_of_long_trajectories_some_conformers_are_looked_at():
    entry = max(read_example(), key=lambda one: one.n_confs)
    n_times = 4 * MAX_CONFS // entry.n_confs + 1
    many = {name: numpy.concatenate([getattr(entry, name)] * n_times) for name in ("coords", "energy", "forces")}
    assert "gradients" in list_kinds(entry, **{**many, "forces": -many["forces"]})


def test_without_forces_the_rest_is_looked_at():
    entry = read_example()[0]
    nothing = numpy.full_like(entry.forces, numpy.nan)
    assert list_kinds(entry, forces=nothing) == []
    assert list_kinds(entry, forces=nothing, coords=entry.coords / BOHR_TO_ANGSTROM) == ["bohr"]
