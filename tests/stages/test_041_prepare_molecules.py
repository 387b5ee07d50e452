"""Stage 041: every source, what is left out, interruptions."""

import ase
import ase.db
import numpy
import pytest

from common.data.dataset import Entry
from common.data.molecule_database import read_database
from tests.helpers import write_dataset
from tests.stages.generator_runs import get_error, run, run_well

SCRIPT = "041-prepare-molecules.py"


def test_a_chemical_space_is_made_packed_and_unpacked(tmp_path):
    options = ("--max-heavy-atoms", "2", "--elements", "6", "8", "--output", tmp_path, "--n-workers", "1")
    said = run_well(SCRIPT, *options, "--pack", tmp_path / "packed.npz")
    assert "7 molecules that can be placed" in said
    made = read_database(tmp_path / "molecules.db")
    assert {one.smiles for one in made.molecules} == {"C", "O", "CC", "C=C", "C#C", "CO", "C=O"}
    assert made.units == {"energy": "eV", "gap": "eV", "homo": "eV", "lumo": "eV"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["molecules.db", "packed.npz"]
    run_well(SCRIPT, "--source", "packed", "--input", tmp_path / "packed.npz", "--output", tmp_path, "--name", "again")
    again = read_database(tmp_path / "again.db")
    for a, b in zip(again.molecules, made.molecules, strict=True):
        assert a.smiles == b.smiles
        assert a.properties["gap"] == pytest.approx(b.properties["gap"], rel=1e-6)
        numpy.testing.assert_allclose(a.coords, b.coords - b.coords.mean(axis=0), atol=3e-4)


def test_the_largest_are_drawn_where_there_are_too_many(tmp_path):
    options = ("--max-heavy-atoms", "2", "--max-molecules", "3", "--no-relax", "--n-workers", "1")
    run_well(SCRIPT, *options, "--elements", "6", "8", "--output", tmp_path)
    smiles = [one.smiles for one in read_database(tmp_path / "molecules.db").molecules]
    assert len(smiles) == 3
    assert {"C", "O"} <= set(smiles)


def test_a_database_of_upstreams_recipe_is_taken_in_its_units_without_what_falls_apart(tmp_path):
    with ase.db.connect(tmp_path / "theirs.db") as connection:
        connection.metadata = {"_distance_unit": "Bohr", "_property_unit_dict": {"gap": "Hartree", "qed": ""}}
        for length in (0.917, 1.42):  # [Angstrom] HF and, with two fluorines, further apart than radii allow
            atoms = ase.Atoms([9, 1 if length < 1 else 9], [[0, 0, 0], [0, 0, length / 0.529177210903]])
            connection.write(atoms, data={"gap": numpy.array([0.5]), "qed": numpy.array([0.25])})
    said = run_well(SCRIPT, "--source", "ase", "--input", tmp_path / "theirs.db", "--output", tmp_path)
    assert "1 molecules that can be placed atom by atom; left out: 1 with a gap F-F" in said
    assert "gap [Hartree], qed [no unit]" in said
    found = read_database(tmp_path / "molecules.db")
    assert found.molecules[0].coords[1, 2] == pytest.approx(0.917)
    assert found.get_values("gap", "eV")[0] == pytest.approx(13.6057, abs=1e-4)
    assert found.metadata["left_out"]["disconnected"] == {"F-F": 1}


def test_a_data_set_gives_its_lowest_conformers(tmp_path):
    coords = numpy.array([[[0.0, 0, 0], [0, 0.76, 0.59], [0, -0.76, 0.59]]] * 2)
    coords[1, 1] *= 1.05
    energy = numpy.array([3.0, -3.0])
    write_dataset(tmp_path / "raw", [Entry("[O:1]([H:2])[H:3]", coords, energy, numpy.zeros((2, 3, 3)), -47000.0)])
    run_well(SCRIPT, "--source", "dataset", "--input", tmp_path / "raw", "--output", tmp_path)
    (molecule,) = read_database(tmp_path / "molecules.db").molecules
    numpy.testing.assert_allclose(molecule.coords, coords[1])
    run_well(SCRIPT, "--source", "dataset", "--input", tmp_path / "raw", "--output", tmp_path, "--no-only-lowest")
    assert len(read_database(tmp_path / "molecules.db").molecules) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "ase"], "needs an input"),
        (["--input", "x.db"], "reads no input"),
        (["--source", "ase", "--input", "nowhere.db"], "nowhere.db: no such database"),
        (["--source", "qm9", "--input", "nowhere"], "get QM9"),
        (["--max-heavy-atoms", "1", "--elements", "17"], "elements [17] cannot be enumerated"),
        (["--max-heavy-atoms", "2", "--no-relax", "--placement-cutoff", "0.5"], "no molecule is connected within 0.5"),
    ],
)
def test_what_cannot_be_is_one_line(options, message, tmp_path):
    assert message in get_error(run(SCRIPT, *options, "--output", tmp_path, "--n-workers", "1"))
    assert not list(tmp_path.glob("*.db"))
