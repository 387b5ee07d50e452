"""Quantum data for benchmarks of the fit: GFN2-xTB energies and forces of a few hundred molecules.

    python benchmarks/make_quantum_data.py --molecules 345 --output outputs/benchmarks/gfn2

Writes a folder such as stage 001 writes: ``data-raw/gfn2/`` and ``data-raw/smiles.json``. The molecules are those of
example/molecules.csv and benchmarks/molecules.smi, and these with a substituent. From each ETKDG conformer a short
Langevin trajectory at 500 K starts, with the forces of MMFF94 (UFF where that has no parameters); its frames are 20 fs
apart, far enough for stretching vibrations to have gone round, and not converged in anything slower. GFN2-xTB computes
energies and forces of the frames alone. A molecule that is no longer bonded as drawn is left out. Some five minutes on
one core for 345 molecules; a molecule that was computed before is not computed again.
"""

import argparse
import collections.abc
import itertools
import json
import pathlib
import sys

import numpy
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks.make_archive import iterate_molecules
from common.calculators.interface import CalculationError
from common.calculators.registry import make_calculator
from common.data.dataset import Entry, ShardWriter
from common.data.shards import make_shards, publish_datasets
from common.dynamics.langevin import Langevin, run_langevin
from common.dynamics.states import begin, draw_velocities
from common.molecules.bonding import is_bonded_as_drawn
from common.molecules.conformers import attach_conformers, embed_conformers
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


def make_sampler(mol: Chem.Mol) -> collections.abc.Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Energy [kcal/mol] and forces [kcal/mol/Angstrom] of the force field that moves the atoms."""
    posed = attach_conformers(mol, embed_conformers(mol, 1, seed=7))
    properties = AllChem.MMFFGetMoleculeProperties(posed)
    if properties is not None:
        field = AllChem.MMFFGetMoleculeForceField(posed, properties)
    else:
        field = AllChem.UFFGetMoleculeForceField(posed)

    def evaluate(coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        places = coords.reshape(-1).tolist()
        energy = torch.tensor(field.CalcEnergy(places), dtype=torch.float64)
        return energy, -torch.tensor(field.CalcGrad(places), dtype=torch.float64).reshape(coords.shape)

    return evaluate


def sample(smiles: str) -> Entry | None:
    """Conformers of one molecule with energies and forces; None where GFN2-xTB gives none, or where it fell apart."""
    mol = from_smiles(smiles)
    mapped = to_mapped_smiles(mol)
    numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    masses = torch.tensor([atom.GetMass() for atom in mol.GetAtoms()], dtype=torch.float64)
    calculator, charge, evaluate = make_calculator(LEVEL), Chem.GetFormalCharge(mol), make_sampler(mol)
    integrator = Langevin(masses, STEP, TEMPERATURE)
    coords = []
    for i, start in enumerate(embed_conformers(mol, N_STARTS, seed=7)):
        generator = make_generator("quantum data", smiles, i)
        state = begin(evaluate, torch.from_numpy(start), draw_velocities(masses, TEMPERATURE, (), generator))
        path = run_langevin(integrator, evaluate, state, N_FRAMES * INTERVAL, generator)
        coords += [state.coords.numpy() for step, state in enumerate(path, 1) if step % INTERVAL == 0]
    if not all(is_bonded_as_drawn(mol, one) for one in coords):
        print(f"left out: {smiles}: not bonded as drawn")
        return None
    try:
        energies, forces = zip(*(calculator(numbers, one, charge) for one in coords), strict=True)
    except CalculationError as error:
        print(f"left out: {smiles}: {error}")
        return None
    energy = numpy.array(energies)
    return Entry(
        smiles=mapped,
        coords=numpy.array(coords),
        energy=energy - energy.mean(),
        forces=numpy.array(forces),
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
    parser.add_argument("--molecules", type=int, default=345)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/benchmarks/gfn2"))
    parser.add_argument("--n-workers", type=int, default=1)
    arguments = parser.parse_args()
    settings = {
        "level": LEVEL,
        "sampler": "MMFF94",
        "starts": N_STARTS,
        "frames": N_FRAMES,
        "step": STEP,
        "interval": INTERVAL,
    }
    slices = [[smiles] for smiles in choose_molecules(arguments.molecules)]
    output = arguments.output / "data-raw"
    shards = make_shards(output, "gfn2", slices, write_shard, settings, arguments.n_workers, description="gfn2")
    smiles = sorted({one for result in shards.results for one in result["smiles"]})
    publish_datasets(output, [(shards, settings)], {"smiles.json": json.dumps(smiles, indent=0) + "\n"})
    print(f"{len(smiles)} molecules in {output}")


if __name__ == "__main__":
    run_stage(main)
