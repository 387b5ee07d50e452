"""Extended XYZ as ASE writes it, and by hand."""

import ase.io
import numpy
import pytest

from common.molecules.mapped_smiles import compute_connectivity_key
from common.own_data.records import InputError
from tests.own_data.checks import check_same, read_all
from tests.own_data.samples import get_total, make_atoms, read_samples, write_extended_xyz

SAMPLES = read_samples()


def test_the_same_numbers_arrive(tmp_path):
    write_extended_xyz(tmp_path / "mine.xyz", SAMPLES)
    found = read_all(tmp_path / "mine.xyz")
    assert [entry.entry for entry in found] == list(SAMPLES)
    for entry in found:
        check_same(entry, SAMPLES[entry.entry], 1e-5)


def test_smiles_come_from_a_table_by_name_and_energies_under_another_key(tmp_path):
    entry = SAMPLES["ethanol"]
    frames = make_atoms(entry, name="my ethanol")
    for atoms in frames:
        atoms.info["dft_energy"] = atoms.get_potential_energy() * 2.0
    ase.io.write(tmp_path / "mine.xyz", frames, format="extxyz")
    [found] = read_all(tmp_path / "mine.xyz", smiles_by_name={"my ethanol": "CCO"}, energy_key="dft_energy")
    assert compute_connectivity_key(found.smiles) == "CCO"
    numpy.testing.assert_allclose(get_total(found), 2.0 * get_total(entry), atol=1e-4)
    with pytest.raises(InputError, match="the table of SMILES has no 'my ethanol'"):
        read_all(tmp_path / "mine.xyz", smiles_by_name={"your ethanol": "CCO"})


def test_molecules_are_perceived_where_nothing_names_them(tmp_path):
    frames = [atoms for entry in SAMPLES.values() for atoms in make_atoms(entry)]
    ase.io.write(tmp_path / "mine.xyz", frames, format="extxyz")
    found = read_all(tmp_path / "mine.xyz")
    keys = [compute_connectivity_key(entry.smiles) for entry in found]
    assert keys == [compute_connectivity_key(entry.smiles) for entry in SAMPLES.values()]
    for entry, expected in zip(found, SAMPLES.values(), strict=True):
        numpy.testing.assert_allclose(entry.forces, expected.forces, atol=1e-6)


def test_units_that_are_named_go_before_those_of_the_format(tmp_path):
    (tmp_path / "h2.xyz").write_text(
        '2\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.0 smiles="[H][H]"\n'
        "H 0.0 0.0 0.0 0.0 0.0 0.1\nH 0.0 0.0 1.4 0.0 0.0 -0.1\n"
    )
    [found] = read_all(tmp_path / "h2.xyz", units=("hartree", "bohr"))
    assert found.coords[0, 1, 2] == pytest.approx(0.7408, abs=1e-4)
    assert found.energy_offset == pytest.approx(-627.5095, abs=1e-4)
    assert found.forces[0, 0, 2] == pytest.approx(118.58, abs=0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("two\n\nH 0 0 0\n", "line 1: 'two' is no number of atoms"),
        ("2\n\nH 0 0 0\n", "line 1: a frame of 2 atoms ends before its time"),
        ("1\n\nHe 0 0 0\n", "no energy under 'energy', only nothing; name it with --energy-key"),
        ("1\nenergy=-1.0 charge=0.5\nHe 0 0 0\n", "charge 0.5: a charge is a whole number"),
        ("1\nenergy=-1.0\nHe 0 here 0\n", "no extended XYZ"),
    ],
)
def test_damage_is_named(tmp_path, text, message):
    (tmp_path / "bad.xyz").write_text(text)
    with pytest.raises(InputError, match=message):
        read_all(tmp_path / "bad.xyz")
