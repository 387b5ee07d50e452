"""Molecules to learn from: made, taken, and told apart when they fall to pieces."""

import io
import tarfile

import numpy
import pytest

from common.calculators.tight_binding import GFN2, TightBinding
from common.data.dataset import Entry
from common.generation.preparation import (
    QM9_PROPERTIES,
    Failure,
    GeometrySettings,
    make_molecules,
    parse_qm9,
    read_qm9,
    take_entry,
)
from common.units import EV_TO_KCAL_PER_MOL

METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 9.063972942*^-1\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""  # noqa: E501 - as QM9 has it


@pytest.fixture(scope="module")
def formamide():
    return make_molecules("NC=O", GeometrySettings())


def test_a_molecule_is_relaxed_and_has_its_properties(formamide):
    (molecule,) = formamide
    assert molecule.smiles == "NC=O"
    level = TightBinding(GFN2)
    forces = level(molecule.numbers, molecule.coords, 0).forces
    assert numpy.linalg.norm(forces, axis=1).max() <= 1.0
    electrons = level.compute_electronic_structure(molecule.numbers, molecule.coords, 0)
    for name in ("energy", "gap", "homo", "lumo"):
        assert molecule.properties[name] == pytest.approx(getattr(electrons, name) / EV_TO_KCAL_PER_MOL)
    assert 1.0 < molecule.properties["gap"] < 15.0  # [eV]


def test_without_relaxation_the_minimum_of_mmff_stays(formamide):
    (molecule,) = make_molecules("NC=O", GeometrySettings(relax=False))
    forces = TightBinding(GFN2)(molecule.numbers, molecule.coords, 0).forces
    assert numpy.linalg.norm(forces, axis=1).max() > 2.0
    assert molecule.properties["energy"] > formamide[0].properties["energy"]


def test_conformers_that_are_alike_count_once():
    assert len(make_molecules("CC", GeometrySettings(n_conformers=4, max_force=0.05))) == 1
    made = make_molecules("CCCC=O", GeometrySettings(n_conformers=8))
    energies = [float(one.properties["energy"]) for one in made]
    assert len(set(numpy.round(energies, 3))) == len(energies) > 1


def test_stereochemistry_comes_from_the_geometry():
    (molecule,) = make_molecules("CC(O)F", GeometrySettings(relax=False))
    assert molecule.smiles in ("C[C@@H](O)F", "C[C@H](O)F")


def test_what_does_not_stay_itself_is_a_failure_with_a_reason():
    (failure,) = make_molecules("OC(=O)C[NH2+]C[O-]", GeometrySettings())  # its proton or its formaldehyde leaves
    assert isinstance(failure, Failure)
    assert failure.reason == "relaxes to another molecule"


def test_entries_of_data_sets_give_their_conformers_with_energies():
    entry = Entry(
        "[H:1][O:2][H:3]", numpy.arange(18.0).reshape(2, 3, 3), numpy.array([1.0, -1.0]), numpy.zeros((2, 3, 3)), -100.0
    )
    (lowest,) = take_entry(entry, only_lowest=True)
    assert lowest.properties["energy"] == pytest.approx(-101.0 / EV_TO_KCAL_PER_MOL)
    numpy.testing.assert_array_equal(lowest.coords, entry.coords[1])
    assert (lowest.numbers.tolist(), lowest.smiles) == ([1, 8, 1], "O")
    assert len(take_entry(entry, only_lowest=False)) == 2


def test_a_file_of_qm9_is_read():
    index, molecule = parse_qm9(METHANE, "dsgdb9nsd_000001.xyz")
    assert index == 1
    assert molecule.numbers.tolist() == [6, 1, 1, 1, 1]
    assert molecule.coords[4, 2] == pytest.approx(0.9063972942)
    assert molecule.properties["gap"] == 0.5048
    assert molecule.properties["energy_U0"] == -40.47893
    assert molecule.smiles == "C"
    assert list(molecule.properties) == list(QM9_PROPERTIES)
    with pytest.raises(ValueError, match="first: no file of QM9"):
        parse_qm9(METHANE.replace("0.5048", "high"), "first")


def test_uncharacterized_molecules_of_qm9_are_left_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dsgdb9nsd\.xyz\.tar\.bz2"):
        next(read_qm9(tmp_path))
    with tarfile.open(tmp_path / "dsgdb9nsd.xyz.tar.bz2", "w:bz2") as archive:
        for index in (1, 2, 3):
            content = METHANE.replace("gdb 1\t", f"gdb {index}\t").encode()
            member = tarfile.TarInfo(f"dsgdb9nsd_{index:06d}.xyz")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (tmp_path / "uncharacterized.txt").write_text("Index  InChI\n=====\n     2  InChI=1S/CH4\n")
    assert len(list(read_qm9(tmp_path))) == 2
