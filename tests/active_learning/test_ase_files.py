"""ASE databases in and out, held against ASE itself."""

import ase
import ase.db
import ase.units
import numpy
import pytest

from common.active_learning.ase_files import read_starts, write_database
from common.active_learning.search_space import make_molecule
from tests.tasks.made_up import COORDS, NUMBERS, SMILES, draw_labels

MOLECULES = [make_molecule("[O:1]=[O:2]"), make_molecule(SMILES)]
EV = 23.060548  # [kcal/mol]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "structures.db"


def test_rows_are_starts(path):
    velocities = 0.01 * numpy.arange(9.0).reshape(3, 3)
    with ase.db.connect(path) as database:
        moving = ase.Atoms(numbers=NUMBERS, positions=COORDS)
        moving.set_velocities(velocities / ase.units.fs)
        database.write(moving, temperature=450.0, region="new")
        database.write(ase.Atoms(numbers=NUMBERS, positions=COORDS + 0.1))
    first, second = read_starts(path, MOLECULES, 300.0)
    assert (first.molecule, first.temperature, first.region) == (1, 450.0, "new")
    numpy.testing.assert_allclose(first.velocities, velocities, rtol=1e-12)
    assert (second.temperature, second.region, second.velocities) == (300.0, "known", None)
    numpy.testing.assert_allclose(second.coords, COORDS + 0.1)


def test_a_row_of_no_molecule_is_named(path):
    with ase.db.connect(path) as database:
        database.write(ase.Atoms("OH2", positions=COORDS))
        database.write(ase.Atoms("H2O", positions=COORDS))
    with pytest.raises(ValueError, match=r"structures\.db, row 2: its atoms \[1, 1, 8\] are those of none"):
        read_starts(path, MOLECULES, 300.0)


def test_no_rows_and_no_file(path, tmp_path):
    with ase.db.connect(path) as database:
        database.delete([database.write(ase.Atoms("OH2", positions=COORDS))])
    with pytest.raises(ValueError, match="has no rows"):
        read_starts(path, MOLECULES, 300.0)
    with pytest.raises(FileNotFoundError, match=r"none\.db"):
        read_starts(tmp_path / "none.db", MOLECULES, 300.0)


def test_ase_reads_what_was_written(path):
    labels = draw_labels(3, 0)
    write_database(path, labels, MOLECULES[1:], ["initial", "audit", "active"], [{"round": k} for k in range(3)])
    with ase.db.connect(path) as database:
        rows = list(database.select())
        assert [row.source for row in rows] == ["initial", "audit", "active"]
        assert [row.round for row in database.select(source="active")] == [2]
        for i, row in enumerate(rows):
            numbers, coords, forces = labels.get(i)
            atoms = row.toatoms()
            assert atoms.numbers.tolist() == numbers.tolist()
            numpy.testing.assert_allclose(atoms.positions, coords, atol=1e-12)
            assert atoms.get_potential_energy() * EV == pytest.approx(labels.energies[i], rel=1e-7)
            numpy.testing.assert_allclose(atoms.get_forces() * EV, forces, rtol=1e-6, atol=1e-9)
            assert row.data["smiles"] == SMILES
    assert [each.name for each in path.parent.iterdir()] == [path.name]
