"""Writes the example's molecules as a user's own extended XYZ file: ``python .ci/own_data.py my-conformers.xyz``."""

import pathlib
import sys

import ase
import ase.io
from ase.calculators.singlepoint import SinglePointCalculator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from common.espaloma.archive import find_entries
from common.espaloma.entry import read_entry
from common.molecules.mapped_smiles import from_mapped_smiles
from common.units import EV_TO_KCAL_PER_MOL

ROOT = pathlib.Path(__file__).resolve().parents[1]


def write_own_data(path: pathlib.Path) -> None:
    """All conformers with energy [eV] and forces [eV/Angstrom], each frame with the SMILES of its molecule."""
    frames = []
    for locations in find_entries(ROOT / "example" / "8150601").values():
        for location in locations:
            entry = read_entry(location.folder, location.name)
            numbers = [atom.GetAtomicNum() for atom in from_mapped_smiles(entry.smiles).GetAtoms()]
            totals = (entry.energy + entry.energy_offset) / EV_TO_KCAL_PER_MOL
            for coords, energy, forces in zip(entry.coords, totals, entry.forces / EV_TO_KCAL_PER_MOL, strict=True):
                atoms = ase.Atoms(numbers, coords, info={"smiles": entry.smiles})
                atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
                frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")


if __name__ == "__main__":
    write_own_data(pathlib.Path(sys.argv[1]))
