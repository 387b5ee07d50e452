"""RMSD after the best superposition, and Butina clusters, against physics and against RDKit."""

import numpy
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolAlign
from rdkit.ML.Cluster import Butina

from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_smiles
from common.selection import clustering
from common.selection.clustering import cluster_butina, compute_rmsd_matrix

RMSD_TOLERANCE = 2e-9  # [Angstrom] each of the two values compared may be off by clustering.RMSD_TOLERANCE
RDKIT_TOLERANCE = 5e-7  # [Angstrom] RDKit subtracts large numbers: identical conformers may come out at 1e-7
EXACT = 1e-12  # [Angstrom] a few roundings of coordinates of some Angstrom


@pytest.fixture
def random():
    return numpy.random.default_rng(2024)


def embed_heavy_atoms(smiles: str, n_confs: int) -> numpy.ndarray:
    """ETKDG conformers, ``shape=(n_confs, n_heavy_atoms, 3)`` [Angstrom]."""
    mol = from_smiles(smiles)
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    return embed_conformers(mol, n_confs, seed=11)[:, heavy]


def make_molecule(coords: numpy.ndarray) -> Chem.Mol:
    """Unconnected atoms, whose RMSD RDKit can compute by the identity map."""
    mol = Chem.RWMol()
    for _ in range(coords.shape[0]):
        mol.AddAtom(Chem.Atom(6))
    return attach_conformers(mol.GetMol(), coords[None])


def compute_rdkit_rmsd(coords: numpy.ndarray) -> numpy.ndarray:
    """AlignMol pair by pair, ``shape=(n_confs, n_confs)`` [Angstrom]."""
    rmsd = numpy.zeros((len(coords), len(coords)))
    atom_map = [(k, k) for k in range(coords.shape[1])]
    for i in range(len(coords)):
        for j in range(i):
            probe, reference = make_molecule(coords[i]), make_molecule(coords[j])
            rmsd[i, j] = rmsd[j, i] = rdMolAlign.AlignMol(probe, reference, atomMap=atom_map)
    return rmsd


def compute_superposed_rmsd(a: numpy.ndarray, b: numpy.ndarray) -> float:
    """One pair the textbook way: Kabsch's rotation, then the distances that remain."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, _, vt = numpy.linalg.svd(a.T @ b)
    sign = numpy.sign(numpy.linalg.det(u @ vt))
    return float(numpy.sqrt(((a @ u @ numpy.diag([1.0, 1.0, sign]) @ vt - b) ** 2).sum(axis=1).mean()))


def draw_rotation(random: numpy.random.Generator) -> numpy.ndarray:
    rotation, _ = numpy.linalg.qr(random.standard_normal((3, 3)))
    return rotation * numpy.sign(numpy.linalg.det(rotation))


def make_cases() -> dict[str, numpy.ndarray]:
    """Sets of conformers for which a fast formula may lose digits, and ordinary ones."""
    random = numpy.random.default_rng(5)

    def jiggle(coords, n_confs, size):
        return coords + size * random.standard_normal((n_confs, *coords.shape[-2:]))

    flexible = embed_heavy_atoms("CC(C)Cc1ccc(cc1)C(C)C(=O)NCCOC", 8)
    hexagon = embed_heavy_atoms("c1ccccc1", 1)[0]
    hexagon[:, 2] = 0.0
    line = numpy.array([[0.0, 0.0, -1.16], [0.0, 0.0, 0.0], [0.0, 0.0, 1.16]])
    tetrahedron = embed_heavy_atoms("CC(C)(C)C", 1)[0]
    chiral = embed_heavy_atoms("C[C@H](F)Cl", 1)[0]
    shapes = embed_heavy_atoms("NC(CO)C(O)=O", 10)
    return {
        "trajectory": flexible[0] + numpy.cumsum(jiggle(0.0 * flexible[0], 15, 0.03), axis=0),
        "unlike conformers": flexible,
        "near-identical": flexible[0] + numpy.logspace(-12, -1, 8)[:, None, None] * jiggle(0.0 * flexible[0], 8, 1.0),
        "planar": numpy.concatenate(
            [jiggle(hexagon, 5, 0.1) * [1.0, 1.0, 0.0], hexagon[None], jiggle(hexagon, 4, 0.1)]
        ),
        "linear": numpy.concatenate([line * numpy.linspace(0.9, 1.1, 5)[:, None, None], jiggle(line, 5, 0.1)]),
        "symmetric": numpy.concatenate([jiggle(tetrahedron, 5, 0.05), tetrahedron[None, [0, 1, 3, 2, 4]]]),
        "compact mirror images": numpy.concatenate([jiggle(chiral, 4, 0.05), -jiggle(chiral, 4, 0.05)]),
        "flexible mirror images": numpy.concatenate([shapes, -shapes]),
        "two atoms": random.standard_normal((8, 2, 3)),
        "three atoms": random.standard_normal((8, 3, 3)),
        "far from the origin": flexible + 1000.0,
    }


CASES = (
    "trajectory",
    "unlike conformers",
    "near-identical",
    "planar",
    "linear",
    "symmetric",
    "compact mirror images",
    "flexible mirror images",
    "two atoms",
    "three atoms",
    "far from the origin",
)


@pytest.fixture(scope="module")
def cases():
    return make_cases()


@pytest.fixture(params=CASES)
def case(request, cases):
    return cases[request.param]


# --- physics ---------------------------------------------------------------------------------------------------------


def test_moving_a_conformer_as_a_whole_does_not_change_it(random):
    coords = embed_heavy_atoms("CCOC(=O)C", 6)
    moved = numpy.array([x @ draw_rotation(random).T + 10.0 * random.standard_normal(3) for x in coords])
    numpy.testing.assert_allclose(compute_rmsd_matrix(moved), compute_rmsd_matrix(coords), atol=RMSD_TOLERANCE, rtol=0)


def test_a_moved_copy_is_at_no_distance(random):
    start = embed_heavy_atoms("CCOC(=O)C", 1)[0]
    copies = numpy.array([start @ draw_rotation(random).T + random.standard_normal(3) for _ in range(5)])
    assert compute_rmsd_matrix(copies).max() < EXACT


def test_identical_conformers_are_at_no_distance():
    coords = numpy.repeat(embed_heavy_atoms("CCOC(=O)C", 2), 3, axis=0).astype(numpy.float32)
    rmsd = compute_rmsd_matrix(coords)
    assert rmsd[:3, :3].max() < EXACT
    assert rmsd[3:, 3:].max() < EXACT


def test_stretching_a_bond_moves_each_end_by_half():
    pair = numpy.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [[5.0, 0.0, 0.0], [5.0, 1.3, 0.0]]])
    assert compute_rmsd_matrix(pair)[0, 1] == pytest.approx(0.15, abs=EXACT)


def test_mirror_images_are_not_alike():
    """Only proper rotations: a reflection would bring the enantiomers onto each other."""
    coords = embed_heavy_atoms("C[C@H](F)Cl", 1)
    assert compute_rmsd_matrix(numpy.concatenate([coords, -coords]))[0, 1] > 0.3


def test_a_flat_molecule_is_its_own_mirror_image():
    flat = embed_heavy_atoms("c1ccccc1C", 1)
    flat[..., 2] = 0.0
    assert compute_rmsd_matrix(numpy.concatenate([flat, flat * [-1.0, 1.0, 1.0]]))[0, 1] < EXACT


def test_a_single_atom_always_lies_on_itself(random):
    assert (compute_rmsd_matrix(random.standard_normal((4, 1, 3))) == 0.0).all()


def test_the_matrix_is_symmetric_with_a_zero_diagonal(case):
    rmsd = compute_rmsd_matrix(case)
    assert (rmsd == rmsd.T).all()
    assert (numpy.diag(rmsd) == 0.0).all()


# --- numbers from outside --------------------------------------------------------------------------------------------


def test_equals_rdkit(case):
    numpy.testing.assert_allclose(compute_rmsd_matrix(case), compute_rdkit_rmsd(case), atol=RDKIT_TOLERANCE, rtol=0)


def test_equals_explicit_superposition(case):
    expected = [[compute_superposed_rmsd(a, b) for b in case] for a in case]
    numpy.testing.assert_allclose(compute_rmsd_matrix(case), expected, atol=RMSD_TOLERANCE, rtol=0)


def test_blocks_do_not_show(random):
    """More conformers than a block holds, and not a multiple of it."""
    starts = embed_heavy_atoms("CCOC(=O)CN", 3)
    n_confs = 2 * clustering.BLOCK_SIZE + 7
    coords = numpy.resize(starts, (n_confs, *starts[0].shape)) + 0.1 * random.standard_normal(
        (n_confs, *starts[0].shape)
    )
    rmsd = compute_rmsd_matrix(coords)
    pairs = random.integers(0, n_confs, (300, 2))
    expected = [compute_superposed_rmsd(coords[i], coords[j]) for i, j in pairs]
    numpy.testing.assert_allclose(rmsd[pairs[:, 0], pairs[:, 1]], expected, atol=RMSD_TOLERANCE, rtol=0)


def test_few_pairs_of_an_ordinary_trajectory_are_superposed(monkeypatch, random):
    """The slow way is right for every pair, so that only counting shows that the fast one is taken."""
    counts = []
    superpose = clustering._superpose
    monkeypatch.setattr(clustering, "_superpose", lambda c, i, j: (counts.append(len(i)), superpose(c, i, j))[1])
    starts = embed_heavy_atoms("CC(C)Cc1ccc(cc1)C(C)C(=O)NCCOC", 10)
    coords = numpy.repeat(starts, 20, axis=0)
    coords = coords + 0.08 * random.standard_normal(coords.shape)
    compute_rmsd_matrix(coords)
    assert sum(counts) < 0.01 * len(coords) ** 2 / 2


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.6, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(8))
def test_clusters_equal_rdkits_own_from_a_list_of_distances(seed, threshold):
    """Distances in steps of 0.1, so that there are many ties, also at the threshold itself."""
    random = numpy.random.default_rng(seed)
    n_confs = int(random.integers(2, 60))
    rmsd = numpy.round(random.uniform(0.0, 2.0, (n_confs, n_confs)), 1)
    rmsd = numpy.triu(rmsd, 1) + numpy.triu(rmsd, 1).T
    distances = [rmsd[i, j] for i in range(n_confs) for j in range(i)]
    expected = Butina.ClusterData(distances, n_confs, threshold, isDistData=True, reordering=True)
    assert cluster_butina(rmsd, threshold) == list(expected)


def test_clusters_follow_the_published_rule(random):
    """The centre has the most neighbours among what is left; a cluster is the centre and all of these."""
    points = random.standard_normal((80, 2))
    rmsd = numpy.linalg.norm(points[:, None] - points[None], axis=-1)
    left = numpy.ones(len(points), dtype=bool)
    for cluster in cluster_butina(rmsd, 0.4):
        n_neighbours = ((rmsd <= 0.4) & left[None]).sum(axis=1)
        assert n_neighbours[cluster[0]] == n_neighbours[left].max()
        assert sorted(cluster) == numpy.flatnonzero((rmsd[cluster[0]] <= 0.4) & left).tolist()
        left[list(cluster)] = False
    assert not left.any()


def test_a_pair_at_the_threshold_is_one_cluster():
    assert cluster_butina(numpy.array([[0.0, 0.25], [0.25, 0.0]]), 0.25) == [(1, 0)]


# --- plumbing --------------------------------------------------------------------------------------------------------


def test_one_conformer_is_one_cluster():
    rmsd = compute_rmsd_matrix(numpy.zeros((1, 5, 3)))
    assert rmsd.shape == (1, 1)
    assert cluster_butina(rmsd, 0.25) == [(0,)]


@pytest.mark.parametrize("coords", [numpy.full((2, 3, 3), numpy.nan), numpy.zeros((2, 0, 3))])
def test_what_has_no_rmsd_is_refused(coords):
    with pytest.raises(ValueError, match="finite"):
        compute_rmsd_matrix(coords)
