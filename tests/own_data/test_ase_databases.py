"""ASE databases."""

import ase
import ase.db
import numpy
import pytest

from common.own_data.records import InputError
from tests.own_data.checks import check_same, read_all
from tests.own_data.samples import make_atoms, read_samples, write_ase_database

SAMPLES = read_samples()


def test_the_same_numbers_arrive(tmp_path):
    write_ase_database(tmp_path / "mine.db", SAMPLES)
    found = read_all(tmp_path / "mine.db")
    assert [entry.entry for entry in found] == list(SAMPLES)
    for entry in found:
        check_same(entry, SAMPLES[entry.entry])


def test_energies_and_forces_may_stand_under_keys_and_in_data(tmp_path):
    entry = SAMPLES["ethanol"]
    with ase.db.connect(tmp_path / "mine.db") as database:
        for atoms in make_atoms(entry):
            forces, energy = atoms.get_forces(), atoms.get_potential_energy()
            atoms.calc = None
            database.write(atoms, dft=energy, data={"dft_forces": forces}, smiles=entry.smiles)
    [found] = read_all(tmp_path / "mine.db", energy_key="dft", forces_key="dft_forces")
    check_same(found, entry)


def test_a_row_without_energy_and_a_file_that_is_no_database_are_named(tmp_path):
    with ase.db.connect(tmp_path / "mine.db") as database:
        database.write(ase.Atoms("H2", numpy.eye(3)[:2]), smiles="[H][H]")
    with pytest.raises(InputError, match="row 1 has no energy under 'energy'"):
        read_all(tmp_path / "mine.db")
    (tmp_path / "other.db").write_text("no database")
    with pytest.raises(InputError, match=r"other\.db: no ASE database"):
        read_all(tmp_path / "other.db")
