"""Quantum data for benchmarks of the fit: GFN2-xTB energies and forces of a few hundred molecules.

    python benchmarks/make_quantum_data.py --molecules 330 --output outputs/benchmarks/gfn2

Writes a folder such as stage 001 writes: ``data-raw/gfn2/`` and ``data-raw/smiles.json``. The molecules are those of
example/molecules.csv and benchmarks/molecules.smi, and these with a substituent. From each ETKDG conformer a short
Langevin trajectory at 500 K starts; its conformers are 20 fs apart, far enough for stretching vibrations to have gone
round, and not converged in anything slower. A molecule that reacts on the way (the zwitterion of glycine passes on its
proton) is left out. About twenty minutes on one core for 330 molecules; a molecule that was computed before is not
computed again.
"""

import argparse
import itertools
import json
import pathlib
import sys

import numpy
import torch
from rdkit import Chem

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks.make_archive import iterate_molecules
from common.calculators.interface import CalculationError
from common.calculators.registry import make_calculator
from common.data.dataset import Entry, ShardWriter
from common.data.shards import make_shards, publish_datasets
from common.dynamics.langevin import Langevin, run_langevin
from common.dynamics.states import begin, draw_velocities
from common.molecules.bonding import is_bonded_as_drawn
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles
from common.processes.generators import make_generator
from common.processes.stage import run_stage

ELEMENTS = {1, 6, 7, 8, 9, 15, 16, 17, 35}
MAX_HEAVY_ATOMS = 18
N_STARTS, N_FRAMES = 4, 3  # of each molecule, and of each start
STEP, INTERVAL = 0.5, 40  # [fs]; steps between frames
TEMPERATURE = 500.0  # [K]
LEVEL = "gfn2-xtb"


def choose_molecules(n_molecules: int) -> list[str]:
    """The first molecules that are small enough, as SMILES."""

    def fits(smiles: str) -> bool:
        mol = Chem.MolFromSmiles(smiles)
        return mol.GetNumHeavyAtoms() <= MAX_HEAVY_ATOMS and {a.GetAtomicNum() for a in mol.GetAtoms()} <= ELEMENTS

    return list(itertools.islice(filter(fits, iterate_molecules()), n_molecules))


def sample(smiles: str) -> Entry | None:
    """Conformers of one molecule with energies and forces; None where GFN2-xTB gives none, or where it reacts."""
    mol = from_smiles(smiles)
    mapped = to_mapped_smiles(mol)
    numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    masses = torch.tensor([atom.GetMass() for atom in mol.GetAtoms()], dtype=torch.float64)
    calculator, charge = make_calculator(LEVEL), Chem.GetFormalCharge(mol)

    def evaluate(coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energy, forces = calculator(numbers, coords.numpy(), charge)
        return torch.tensor(energy, dtype=torch.float64), torch.from_numpy(forces)

    integrator = Langevin(masses, STEP, TEMPERATURE)
    frames = []
    try:
        for i, start in enumerate(embed_conformers(mol, N_STARTS, seed=7)):
            generator = make_generator("quantum data", smiles, i)
            state = begin(evaluate, torch.from_numpy(start), draw_velocities(masses, TEMPERATURE, (), generator))
            path = run_langevin(integrator, evaluate, state, N_FRAMES * INTERVAL, generator)
            frames += [state for step, state in enumerate(path, 1) if step % INTERVAL == 0]
    except CalculationError as error:
        print(f"left out: {smiles}: {error}")
        return None
    if not all(is_bonded_as_drawn(mol, state.coords.numpy()) for state in frames):
        print(f"left out: {smiles}: it reacts")
        return None
    energy = numpy.array([state.energies.item() for state in frames])
    return Entry(
        smiles=mapped,
        coords=numpy.array([state.coords.numpy() for state in frames]),
        energy=energy - energy.mean(),
        forces=numpy.array([state.forces.numpy() for state in frames]),
        energy_offset=float(energy.mean()),
    )


def write_shard(smiles: list[str], path: pathlib.Path) -> dict:
    """A shard of the data set, of one molecule or none."""
    entries = [entry for entry in map(sample, smiles) if entry is not None]
    with ShardWriter(path) as writer:
        for entry in entries:
            writer.write(entry)
    return {"smiles": [entry.smiles for entry in entries]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=330)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/benchmarks/gfn2"))
    parser.add_argument("--n-workers", type=int, default=1)
    arguments = parser.parse_args()
    settings = {"level": LEVEL, "starts": N_STARTS, "frames": N_FRAMES, "step": STEP, "interval": INTERVAL}
    slices = [[smiles] for smiles in choose_molecules(arguments.molecules)]
    output = arguments.output / "data-raw"
    shards = make_shards(output, "gfn2", slices, write_shard, settings, arguments.n_workers, description="gfn2")
    smiles = sorted({one for result in shards.results for one in result["smiles"]})
    publish_datasets(output, [(shards, settings)], {"smiles.json": json.dumps(smiles, indent=0) + "\n"})
    print(f"{len(smiles)} molecules in {output}")


if __name__ == "__main__":
    run_stage(main)
