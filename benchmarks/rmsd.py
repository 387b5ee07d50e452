"""How long the RMSD matrix and the clusters of a long trajectory take, beside RDKit's AlignMol pair by pair.

    python benchmarks/rmsd.py
    python benchmarks/rmsd.py --n-confs 1000 --smiles "CCCCCCCC"

The trajectory is made up: ETKDG conformers, each with thermal noise on its atoms, without hydrogens. All of the matrix
is computed here; RDKit superposes a sample of the pairs, and its time for all of them is extrapolated. AlignMol is
timed twice: on two conformers of the one molecule, as it is mostly called (it then looks for both among all), and
on two molecules with one conformer each, the best case for it. Processor time, one thread; all three are timed in turn,
several times over, and the fastest of each counts.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy reads them

import argparse
import pathlib
import sys
import time

import numpy
from rdkit import Chem
from rdkit.Chem import rdMolAlign

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_smiles
from common.selection.clustering import cluster_butina, compute_rmsd_matrix

SMILES = "CC(C)Cc1ccc(cc1)C(C)C(=O)NCCOC"  # drug-like, 19 heavy atoms
N_CONFS = 3000
N_STARTS = 100  # ETKDG conformers that the trajectory visits
NOISE = 0.08  # [Angstrom] standard deviation of each coordinate
N_PAIRS = 20_000  # pairs that RDKit superposes
N_ROUNDS = 5  # in which everything is timed
THRESHOLD = 0.25  # [Angstrom] as in stage 003


def make_trajectory(smiles: str, n_confs: int) -> Chem.Mol:
    """The heavy atoms of a molecule with ``n_confs`` conformers."""
    mol = from_smiles(smiles)
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    starts = embed_conformers(mol, N_STARTS, seed=7)[:, heavy]
    random = numpy.random.default_rng(7)
    coords = starts[numpy.arange(n_confs) * len(starts) // n_confs]
    return attach_conformers(Chem.RemoveAllHs(mol), coords + NOISE * random.standard_normal(coords.shape))


def align_within(mol: Chem.Mol, pairs: list[tuple[int, int]]) -> float:
    """The seconds that AlignMol takes for pairs of conformers of one molecule."""
    mol = Chem.Mol(mol)  # AlignMol moves conformers
    start = time.process_time()
    for i, j in pairs:
        rdMolAlign.AlignMol(mol, mol, i, j)
    return time.process_time() - start


def align_apart(mol: Chem.Mol, coords: numpy.ndarray, pairs: list[tuple[int, int]]) -> tuple[float, numpy.ndarray]:
    """The seconds that AlignMol takes for pairs of molecules with one conformer, and its RMSD [Angstrom] of each."""
    probe, reference = Chem.Mol(mol, confId=0), Chem.Mol(mol, confId=0)
    rmsd, seconds = [], 0.0
    for i, j in pairs:
        probe.GetConformer().SetPositions(coords[i])
        reference.GetConformer().SetPositions(coords[j])
        start = time.process_time()
        rmsd.append(rdMolAlign.AlignMol(probe, reference))
        seconds += time.process_time() - start
    return seconds, numpy.array(rmsd)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smiles", default=SMILES, help="default: %(default)s")
    parser.add_argument("--n-confs", type=int, default=N_CONFS, help="default: %(default)s")
    arguments = parser.parse_args()
    mol = make_trajectory(arguments.smiles, arguments.n_confs)
    coords = numpy.array([conformer.GetPositions() for conformer in mol.GetConformers()])
    n_confs, n_atoms, _ = coords.shape
    n_pairs = n_confs * (n_confs - 1) // 2

    sample = numpy.random.default_rng(1).integers(0, n_confs, (min(N_PAIRS, n_pairs), 2))
    pairs = sample.tolist()
    own, within, apart = [], [], []
    for _ in range(N_ROUNDS):
        start = time.process_time()
        rmsd = compute_rmsd_matrix(coords)
        own.append(time.process_time() - start)
        within.append(align_within(mol, pairs) / len(pairs))
        seconds, reference = align_apart(mol, coords, pairs)
        apart.append(seconds / len(pairs))
    start = time.process_time()
    clusters = cluster_butina(rmsd, THRESHOLD)
    seconds_clusters = time.process_time() - start
    difference = numpy.abs(reference - rmsd[sample[:, 0], sample[:, 1]]).max()

    print(f"{arguments.smiles}: {n_confs} conformers, {n_atoms} heavy atoms, {n_pairs} pairs")
    seconds = min(own)
    print(f"RMSD matrix of all pairs                 {seconds:8.2f} s {1e6 * seconds / n_pairs:8.2f} us/pair")
    for name, each in (("AlignMol within one molecule", within), ("AlignMol, one conformer a molecule", apart)):
        fastest = min(each)
        total = f"{fastest * n_pairs:8.2f} s {1e6 * fastest:8.2f} us/pair, ratio {fastest * n_pairs / seconds:.0f}"
        print(f"{name:40s} {total} (extrapolated from {len(pairs)} pairs)")
    print(f"largest difference in the sample: {difference:.1e} Angstrom")
    print(f"Butina at {THRESHOLD} Angstrom: {len(clusters)} clusters, {seconds_clusters:.2f} s")


if __name__ == "__main__":
    main()
