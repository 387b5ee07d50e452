"""How long AM1-BCC charges take: the model's loading, and the molecules of the tests over and over.

    python benchmarks/charges.py --n-molecules 1000

One process, one thread. Molecules have 30 to 60 atoms; about a third of them are ions or zwitterions.
"""

import argparse
import gzip
import json
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common.molecules.mapped_smiles import from_mapped_smiles
from common.nagl.features import compute_atom_features
from common.nagl.model import DEFAULT_MODEL, ChargeError, load_charge_model
from common.nagl.weights import find_weights, load_weights

MOLECULES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "charges" / "openff-nagl.json.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-molecules", type=int, default=1000, help="how many molecules to compute (default: 1000)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    smiles = [molecule["smiles"] for molecule in json.loads(gzip.decompress(MOLECULES.read_bytes()))["molecules"]]
    mols = [mol for mol in map(from_mapped_smiles, smiles) if 30 <= mol.GetNumAtoms() <= 60]
    mols = [mols[i % len(mols)] for i in range(arguments.n_molecules)]

    start = time.perf_counter()
    model = load_charge_model()
    print(f"load {model.name}: {time.perf_counter() - start:.2f} s")

    start = time.perf_counter()
    results = model.compute_charges(mols)
    total = time.perf_counter() - start
    n_atoms, n_refused = sum(mol.GetNumAtoms() for mol in mols), sum(isinstance(r, ChargeError) for r in results)
    print(f"charges: {total:.2f} s for {len(mols)} molecules, {n_atoms} atoms, {n_refused} refused")

    features = load_weights(find_weights(DEFAULT_MODEL)).config["atom_features"]
    start = time.perf_counter()
    for mol in mols:
        compute_atom_features(mol, features)
    print(f"of which features with resonance forms: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
