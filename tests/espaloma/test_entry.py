"""One archive entry -> one record: sign, units, figures, and every reason to refuse."""

import json
import pathlib
import shutil

import numpy
import pytest
from rdkit import Chem

from common.espaloma.entry import EntryError, convert_gradient_to_force, read_checked_entry, read_entry
from common.espaloma.writer import write_entry
from common.geometry.overlaps import OVERLAP
from common.heterograph.reader import Heterograph
from common.heterograph.writer import write_heterograph
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles
from common.units import BOHR_TO_ANGSTROM
from tests.damages import change_graph
from tests.helpers import DATA

HETEROGRAPHS = DATA / "heterograph"
SAMPLES = ("ethanol", "methanol-opt-path", "n-methylacetamide")

TRAPEZOID = 0.2  # relative error of the trapezoidal rule over the longest step of the methanol path (0.19), others less
SHORT_STEP_TRAPEZOID = 0.01  # over its last four steps, which are short
MIRROR = [1.0, 1.0, -1.0]


@pytest.fixture
def ethanol(tmp_path) -> pathlib.Path:
    """A copy of the ethanol sample that a test may damage."""
    return pathlib.Path(
        shutil.copytree(HETEROGRAPHS / "ethanol", tmp_path / "12", ignore=shutil.ignore_patterns("exp*"))
    )


# --- physics ---------------------------------------------------------------------------------------------------------


def test_forces_are_minus_the_slope_of_the_energy():
    """Along the optimisation path of methanol, energy differences are minus the work of the mean force."""
    entry = read_entry(HETEROGRAPHS / "methanol-opt-path")
    steps = numpy.diff(entry.coords, axis=0)
    work = (0.5 * (entry.forces[1:] + entry.forces[:-1]) * steps).sum((1, 2))
    changes = numpy.diff(entry.energy)
    assert (changes < 0.0).all()
    assert (work > 0.0).all()
    numpy.testing.assert_allclose(-work, changes, rtol=TRAPEZOID)
    numpy.testing.assert_allclose(-work[-4:], changes[-4:], rtol=SHORT_STEP_TRAPEZOID)


@pytest.mark.parametrize("name", SAMPLES)
def test_net_force_and_torque_vanish(name):
    """The energy of a molecule in vacuum depends on neither position nor orientation."""
    entry = read_entry(HETEROGRAPHS / name)
    grid_noise = 0.05  # [kcal/mol/A] of DFT quadrature (grid level 4) and density fitting, summed over the atoms
    assert numpy.abs(entry.forces.sum(1)).max() < grid_noise
    assert numpy.abs(numpy.cross(entry.coords, entry.forces).sum(1)).max() < 5.0 * grid_noise  # lever arms of some A


def test_sign_and_unit_of_a_force():
    one = convert_gradient_to_force(numpy.ones(1, numpy.float32))
    assert one.dtype == numpy.float64
    assert one[0] == pytest.approx(-1185.8210, abs=1e-4)  # hartree/bohr: 627.50947406 / 0.52917721


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_figures_against_those_that_dgl_read(name):
    expected = json.loads((HETEROGRAPHS / name / "expected.json").read_text())
    entry = read_entry(HETEROGRAPHS / name, f"gen2/{name}")

    def get(node_type: str, tensor: str) -> numpy.ndarray:
        record = expected["ndata"][node_type][tensor]
        return numpy.array(record["data"], record["dtype"]).reshape(record["shape"]).astype(numpy.float64)

    kcal_per_mol, angstrom = 627.5094740631, 0.529177210903  # CODATA 2018
    n_confs = get("g", "u_qm").shape[1]
    assert entry.coords.shape == entry.forces.shape == (n_confs, expected["num_nodes"]["n1"], 3)
    assert {entry.coords.dtype, entry.energy.dtype, entry.forces.dtype} == {numpy.dtype("f8")}
    numpy.testing.assert_array_equal(entry.coords, numpy.swapaxes(get("n1", "xyz"), 0, 1) * angstrom)
    numpy.testing.assert_allclose(
        entry.forces, -numpy.swapaxes(get("n1", "u_qm_prime"), 0, 1) * kcal_per_mol / angstrom, rtol=1e-14
    )
    energy = get("g", "u_qm")[0]
    numpy.testing.assert_allclose(entry.energy, (energy - energy.mean()) * kcal_per_mol, rtol=0, atol=1e-12)
    assert entry.energy_offset == pytest.approx(energy.mean() * kcal_per_mol, rel=1e-15)
    assert entry.smiles == expected["mapped_smiles"]
    assert entry.entry == f"gen2/{name}"


def test_energies_keep_their_float64():
    """Energy differences survive that float32 would lose: its spacing at -155 hartree is 0.01 kcal/mol."""
    entry = read_entry(HETEROGRAPHS / "ethanol")
    total = numpy.float32(entry.energy + entry.energy_offset).astype(numpy.float64)
    assert numpy.abs(total - total.mean() - entry.energy).max() > 1e-3
    assert abs(entry.energy.mean()) < 1e-10


def test_two_readings_of_an_entry_are_equal():
    first, second = (read_entry(HETEROGRAPHS / "ethanol") for _ in range(2))
    assert first.smiles == second.smiles
    assert first.coords.tobytes() == second.coords.tobytes()


# --- bad conformers --------------------------------------------------------------------------------------------------


def test_bad_conformers_are_dropped_and_counted(ethanol):
    whole = read_entry(ethanol)

    def spoil(frames):
        frames["g"]["u_qm"][0, 0] = numpy.nan
        frames["n1"]["xyz"][4, 2] = frames["n1"]["xyz"][5, 2] + 0.4  # [bohr] 0.37 A apart

    change_graph(ethanol, spoil)
    checked = read_checked_entry(ethanol)
    assert checked.dropped == {
        "coordinates, energy or gradient not finite": 1,
        f"atoms closer than {OVERLAP} A": 1,
    }
    numpy.testing.assert_array_equal(checked.entry.coords, whole.coords[[1, 3]])
    numpy.testing.assert_array_equal(checked.entry.forces, whole.forces[[1, 3]])
    numpy.testing.assert_allclose(
        checked.entry.energy + checked.entry.energy_offset, (whole.energy + whole.energy_offset)[[1, 3]], rtol=1e-15
    )
    assert abs(checked.entry.energy.mean()) < 1e-10  # relative to the mean of those that are left


@pytest.mark.parametrize("name", ["xyz", "u_qm_prime"])
@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_one_number_that_is_not_finite(name, value, ethanol):
    change_graph(ethanol, lambda frames: frames["n1"][name].__setitem__((8, 1, 2), value))
    assert read_checked_entry(ethanol).dropped == {"coordinates, energy or gradient not finite": 1}


def test_force_ceiling_is_off_unless_asked_for(ethanol):
    largest = numpy.linalg.norm(read_entry(ethanol).forces, axis=-1).max(-1)
    ceiling = float(numpy.sort(largest)[1])
    checked = read_checked_entry(ethanol, max_force=ceiling)
    assert checked.dropped == {f"a force above {ceiling:g} kcal/mol/A": 2}
    assert numpy.linalg.norm(checked.entry.forces, axis=-1).max() <= ceiling


def test_entry_with_no_conformer_left(ethanol):
    change_graph(ethanol, lambda frames: frames["g"]["u_qm"].fill(numpy.nan))
    with pytest.raises(EntryError, match=r"12: no conformer is left of 4: 4 with coordinates, energy or gradient not"):
        read_entry(ethanol)


# --- stereochemistry -------------------------------------------------------------------------------------------------


def write_chiral_entry(folder: pathlib.Path, drawn: str, real: str, n_mirrored: int = 0) -> pathlib.Path:
    """An entry that says it is ``drawn`` and has four conformers of ``real``, the first few mirrored."""
    mol = from_smiles(real)
    coords = embed_conformers(mol, 4, seed=8) / BOHR_TO_ANGSTROM
    coords[:n_mirrored] *= MIRROR
    write_entry(folder, from_smiles(drawn), coords, -numpy.arange(4.0), numpy.zeros_like(coords))
    return folder


@pytest.mark.parametrize("smiles", ["C[C@H](O)F", "C/C=C/F", "C[S@](=O)CC", "C[C@H]1CC[C@@H](C)CC1", "CC(O)F"])
def test_stereochemistry_is_kept(smiles, tmp_path):
    entry = read_entry(write_chiral_entry(tmp_path / "1", smiles, smiles))
    mol = Chem.MolFromSmiles(entry.smiles)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(smiles)
    assert entry.n_confs == 4


@pytest.mark.parametrize(
    ("drawn", "real"), [("C[C@H](O)F", "C[C@@H](O)F"), ("C/C=C/F", r"C/C=C\F"), ("C[P@](=O)(O)F", "C[P@@](=O)(O)F")]
)
def test_stereochemistry_that_disagrees_with_the_coordinates(drawn, real, tmp_path):
    folder = write_chiral_entry(tmp_path / "1", drawn, real)
    with pytest.raises(EntryError, match=r"mol\.json: the stereochemistry disagrees with that of all 4 conformers"):
        read_entry(folder)


def test_sulfoxide_labels_of_either_program_fit_the_coordinates(tmp_path):
    """RDKit's own label of this sulfoxide and the one by all rules differ: the coordinates decide."""
    folder = write_chiral_entry(tmp_path / "1", "C[S@](=O)CC", "C[S@](=O)CC")
    smiles = read_entry(folder).smiles
    text = (folder / "mol.json").read_text()
    swapped = text.replace('\\"R\\"', '\\"S\\"')
    assert swapped != text
    (folder / "mol.json").write_text(swapped)
    assert read_entry(folder).smiles == smiles


def test_inverted_conformers_are_dropped(tmp_path):
    folder = write_chiral_entry(tmp_path / "1", "C[C@H](O)F", "C[C@H](O)F", n_mirrored=1)
    checked = read_checked_entry(folder)
    assert checked.dropped == {"stereochemistry other than in mol.json": 1}
    assert checked.entry.n_confs == 3


def test_impossible_label(ethanol):
    text = (ethanol / "mol.json").read_text().replace('stereochemistry\\": null', 'stereochemistry\\": \\"R\\"', 1)
    (ethanol / "mol.json").write_text(text)
    with pytest.raises(EntryError, match=r"mol\.json: no arrangement of the atoms has the stereochemistry R at 0"):
        read_entry(ethanol)


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mol.json", "heterograph.bin"])
def test_missing_file(name, ethanol):
    (ethanol / name).unlink()
    with pytest.raises(EntryError, match=f"{name}: missing; was the archive unpacked only in part"):
        read_entry(ethanol)


@pytest.mark.parametrize("name", ["mol.json", "heterograph.bin"])
def test_unreadable_file(name, ethanol):
    (ethanol / name).unlink()
    (ethanol / name).mkdir()
    with pytest.raises(EntryError, match=f"{name}: cannot be read .Is a directory"):
        read_entry(ethanol)


@pytest.mark.parametrize("name", ["mol.json", "heterograph.bin"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 5000])
def test_damaged_file(name, content, ethanol):
    (ethanol / name).write_bytes(content)
    with pytest.raises(EntryError, match=rf"12/{name}: (no JSON|at byte)"):
        read_entry(ethanol)


def replace_tensor(node_type: str, name: str, values: numpy.ndarray):
    return lambda frames: frames[node_type].update({name: values})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frames: frames["n1"].pop("u_qm_prime"), "'n1' have no tensor 'u_qm_prime'"),
        (lambda frames: frames["g"].pop("u_qm"), "'g' have no tensor 'u_qm'"),
        (replace_tensor("g", "u_qm", numpy.zeros((1, 4), "f4")), "u_qm is float32: total energies have lost"),
        (replace_tensor("g", "u_qm", numpy.zeros((1, 4), "i8")), "u_qm is int64, expected floating point"),
        (replace_tensor("n1", "xyz", numpy.zeros((9, 4, 3), "f2")), "xyz is float16"),
        (replace_tensor("g", "u_qm", numpy.zeros((1, 5))), r"xyz has shape \(9, 4, 3\), expected \(9, 5, 3\)"),
        (replace_tensor("n1", "u_qm_prime", numpy.zeros((9, 3, 3))), r"u_qm_prime has shape \(9, 3, 3\), expected"),
        (replace_tensor("n1", "xyz", numpy.zeros((9, 12))), r"xyz has shape \(9, 12\)"),
        (replace_tensor("g", "u_qm", numpy.zeros(1)), r"u_qm"),
    ],
)
def test_wrong_tensors_are_named(change, message, ethanol):
    change_graph(ethanol, change)
    with pytest.raises(EntryError, match=rf"12/heterograph\.bin: .*{message}"):
        read_entry(ethanol)


def test_no_conformers(ethanol):
    def empty(frames):
        frames["g"]["u_qm"] = numpy.zeros((1, 0))
        frames["n1"].update(xyz=numpy.zeros((9, 0, 3)), u_qm_prime=numpy.zeros((9, 0, 3)))

    change_graph(ethanol, empty)
    with pytest.raises(EntryError, match="no conformers"):
        read_entry(ethanol)


def test_graph_of_other_node_types(ethanol):
    graph = Heterograph(("atom",), (), {"atom": 9}, {"atom": {"xyz": numpy.zeros((9, 4, 3))}}, edges={})
    write_heterograph(ethanol / "heterograph.bin", graph)
    with pytest.raises(EntryError, match="no nodes of type 'n1', only atom"):
        read_entry(ethanol)


def test_files_of_different_molecules(ethanol):
    shutil.copy(HETEROGRAPHS / "methanol-opt-path" / "mol.json", ethanol / "mol.json")
    with pytest.raises(EntryError, match=r"xyz has shape \(9, 4, 3\), expected \(6, 4, 3\): 6 atoms in mol.json"):
        read_entry(ethanol)
