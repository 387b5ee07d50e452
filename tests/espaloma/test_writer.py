"""The graph structure against what Espaloma wrote, and entries written and read back."""

import itertools
import subprocess
import sys

import numpy
import pytest
from rdkit import Chem

from common.espaloma.entry import read_entry
from common.espaloma.molecule_file import parse_molecule
from common.espaloma.writer import ORDERS, build_graph, list_node_idxs, write_entry
from common.heterograph.reader import read_heterograph
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles
from common.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM, HARTREE_TO_KCAL_PER_MOL
from tests.helpers import ROOT

DATA = ROOT / "tests" / "data" / "heterograph"
SAMPLES = ("ethanol", "methanol-opt-path", "n-methylacetamide")


@pytest.mark.parametrize("name", SAMPLES)
def test_graph_is_the_one_that_espaloma_built(name):
    by_espaloma = read_heterograph(DATA / name / "heterograph.bin", with_edges=True)
    built = build_graph(parse_molecule((DATA / name / "mol.json").read_text()).mol)
    assert built.node_types == by_espaloma.node_types
    assert built.edge_types == by_espaloma.edge_types
    assert len(built.edge_types) == 63
    assert built.node_counts == by_espaloma.node_counts
    for node_type in ORDERS:
        found, wanted = (graph.node_frames[node_type]["idxs"] for graph in (built, by_espaloma))
        assert found.dtype == wanted.dtype, node_type  # empty lists of torsions are float64 there
        numpy.testing.assert_array_equal(found, wanted, node_type)
    for edge_type, ends in by_espaloma.edges.items():
        numpy.testing.assert_array_equal(built.edges[edge_type], ends, str(edge_type))


@pytest.mark.parametrize("smiles", ["C1CC1", "C1CCC1", "C12CC1C2", "c1ccncc1", "N#CC=C", "[NH4+]", "F"])
def test_lists_hold_each_path_once(smiles):
    mol = from_smiles(smiles)
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    idxs = list_node_idxs(mol)
    for node_type, order in (("n2", 2), ("n3", 3), ("n4", 4)):
        paths = {
            path
            for path in itertools.permutations(range(mol.GetNumAtoms()), order)
            if all(bonded[i, j] for i, j in itertools.pairwise(path))
        }
        rows = [tuple(int(i) for i in row) for row in idxs[node_type]]
        assert len(rows) == len(set(rows))
        assert set(rows) == paths


def test_written_entry_is_read_back(tmp_path):
    mol = from_smiles("C[C@H](O)F")
    generator = numpy.random.default_rng(2)
    coords = embed_conformers(mol, 3, seed=3) / BOHR_TO_ANGSTROM
    energy = -193.0 + generator.normal(size=3)
    gradient = generator.normal(size=coords.shape)
    write_entry(tmp_path / "0", mol, coords, energy, gradient)
    entry = read_entry(tmp_path / "0", "gen2-opt/0")
    assert entry.entry == "gen2-opt/0"
    in_float32 = 1e-6  # relative: coordinates and gradients are stored in float32
    numpy.testing.assert_allclose(entry.coords, coords * BOHR_TO_ANGSTROM, rtol=in_float32, atol=1e-6)
    numpy.testing.assert_allclose(
        entry.forces, -gradient * HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM, rtol=in_float32, atol=1e-4
    )
    # energies are stored in float64: only the rounding of -1e5 kcal/mol remains
    numpy.testing.assert_allclose(entry.energy + entry.energy_offset, energy * HARTREE_TO_KCAL_PER_MOL, rtol=1e-15)


def test_only_real_tensors_are_written(tmp_path):
    mol = from_smiles("C(=O)[O-]")
    write_entry(tmp_path, mol, numpy.zeros((2, 4, 3)), numpy.zeros(2), numpy.zeros((2, 4, 3)))
    frames = read_heterograph(tmp_path / "heterograph.bin").node_frames
    assert set(frames["g"]) == {"u_qm", "sum_q"}
    assert set(frames["n1"]) == {"idxs", "xyz", "u_qm_prime"}
    assert frames["g"]["sum_q"].tolist() == [[-1.0]]
    found = {name: (values.dtype.str, values.shape) for t in ("g", "n1") for name, values in frames[t].items()}
    assert found["xyz"] == found["u_qm_prime"] == ("<f4", (4, 2, 3))
    assert found["u_qm"] == ("<f8", (1, 2))


def test_shapes_that_do_not_belong_together(tmp_path):
    mol = from_smiles("O")
    with pytest.raises(ValueError, match=r"coordinates \(2, 3, 3\) and gradient \(1, 3, 3\), expected \(2, 3, 3\)"):
        write_entry(tmp_path / "0", mol, numpy.zeros((2, 3, 3)), numpy.zeros(2), numpy.zeros((1, 3, 3)))
    assert not list(tmp_path.iterdir())


def test_the_writer_needs_nothing_but_numpy_and_rdkit():
    code = "import sys, common.espaloma.writer as _; print({'torch', 'datasets', 'pyarrow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
