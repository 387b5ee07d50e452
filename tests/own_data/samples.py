"""Real conformers (B3LYP-D3(BJ)/DZVP, of the example's kind) written as users' programs write them, in each format."""

import collections.abc
import csv
import json
import pathlib

import ase
import ase.db
import ase.io
import numpy
from ase.calculators.singlepoint import SinglePointCalculator

from common.data.dataset import Entry
from common.espaloma.entry import read_entry
from common.molecules.mapped_smiles import from_mapped_smiles
from common.units import BOHR_TO_ANGSTROM, EV_TO_KCAL_PER_MOL, HARTREE_TO_KCAL_PER_MOL
from tests.helpers import DATA, write_dataset

NAMES = ("ethanol", "methanol-opt-path", "n-methylacetamide")
FORCE = HARTREE_TO_KCAL_PER_MOL / BOHR_TO_ANGSTROM


def read_samples() -> dict[str, Entry]:
    """Three molecules with 4 to 10 conformers."""
    return {name: read_entry(DATA / "heterograph" / name, name) for name in NAMES}


def list_numbers(entry: Entry) -> list[int]:
    return [atom.GetAtomicNum() for atom in from_mapped_smiles(entry.smiles).GetAtoms()]


def get_total(entry: Entry) -> numpy.ndarray:
    """Total energies [kcal/mol]."""
    return entry.energy + entry.energy_offset


def make_atoms(entry: Entry, with_forces: bool = True, **info: object) -> list[ase.Atoms]:
    """The conformers in ASE's units."""
    frames = []
    for coords, energy, forces in zip(entry.coords, get_total(entry), entry.forces, strict=True):
        atoms = ase.Atoms(list_numbers(entry), coords, info=dict(info))
        results = {"energy": energy / EV_TO_KCAL_PER_MOL}
        if with_forces:
            results["forces"] = forces / EV_TO_KCAL_PER_MOL
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


def write_extended_xyz(path: pathlib.Path, entries: collections.abc.Mapping[str, Entry], key: str = "smiles") -> None:
    frames = [atoms for name, entry in entries.items() for atoms in make_atoms(entry, name=name, **{key: entry.smiles})]
    ase.io.write(path, frames, format="extxyz")


def write_ase_database(path: pathlib.Path, entries: collections.abc.Mapping[str, Entry]) -> None:
    with ase.db.connect(path) as database:
        for name, entry in entries.items():
            for atoms in make_atoms(entry):
                database.write(atoms, name=name, smiles=entry.smiles)


def write_table(path: pathlib.Path, entries: collections.abc.Mapping[str, Entry]) -> None:
    """One XYZ file a conformer, with forces; energies [eV] stand in the table."""
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "smiles", "xyz", "energy"])
        for name, entry in entries.items():
            for i, atoms in enumerate(make_atoms(entry)):
                ase.io.write(path.parent / f"{name}-{i}.xyz", atoms, format="extxyz")
                rows.writerow([name, entry.smiles, f"{name}-{i}.xyz", repr(float(atoms.get_potential_energy()))])


def write_spice(path: pathlib.Path, entries: collections.abc.Mapping[str, Entry], units: bool = True) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, entry in entries.items():
            group = file.create_group(name)
            group["smiles"] = [entry.smiles]
            group["atomic_numbers"] = numpy.array(list_numbers(entry))
            arrays = {
                "conformations": (entry.coords / BOHR_TO_ANGSTROM, "bohr"),
                "dft_total_energy": (get_total(entry) / HARTREE_TO_KCAL_PER_MOL, "hartree"),
                "dft_total_gradient": (-entry.forces / FORCE, "hartree/bohr"),
            }
            for key, (values, unit) in arrays.items():
                group[key] = values
                if units:
                    group[key].attrs["units"] = unit


def write_arrays(path: pathlib.Path, entry: Entry) -> None:
    """As the files of MD17: one molecule, no SMILES, kcal/mol."""
    numpy.savez(path, R=entry.coords, z=list_numbers(entry), E=get_total(entry)[:, None], F=entry.forces)


def make_molecule(entry: Entry, i: int, with_smiles: bool = True) -> dict:
    """A molecule of QCSchema."""
    symbols = [ase.data.chemical_symbols[number] for number in list_numbers(entry)]
    molecule: dict = {
        "schema_name": "qcschema_molecule",
        "symbols": symbols,
        "geometry": (entry.coords[i] / BOHR_TO_ANGSTROM).ravel().tolist(),
        "molecular_charge": 0.0,
    }
    if with_smiles:
        key = "canonical_isomeric_explicit_hydrogen_mapped_smiles"
        molecule["identifiers"] = {key: entry.smiles}
    return molecule


def make_record(entry: Entry, i: int, with_smiles: bool = True) -> dict:
    """A gradient calculation of QCSchema."""
    return {
        "schema_name": "qcschema_output",
        "driver": "gradient",
        "success": True,
        "molecule": make_molecule(entry, i, with_smiles),
        "properties": {"return_energy": float(get_total(entry)[i] / HARTREE_TO_KCAL_PER_MOL)},
        "return_result": (-entry.forces[i] / FORCE).ravel().tolist(),
    }


def make_optimization(entry: Entry) -> dict:
    """An optimisation record, SMILES at its initial molecule alone."""
    return {
        "schema_name": "qcschema_optimization_output",
        "id": 7,
        "initial_molecule": make_molecule(entry, 0),
        "final_molecule": make_molecule(entry, entry.n_confs - 1, False),
        "energies": (get_total(entry) / HARTREE_TO_KCAL_PER_MOL).tolist(),
        "trajectory": [make_record(entry, i, False) for i in range(entry.n_confs)],
    }


def make_torsion_drive(entry: Entry) -> dict:
    """A torsion drive of one optimisation a grid point, the best of them named a second time."""
    points = {f"[{30 * i}]": [make_optimization(entry.select([i, i]))] for i in range(entry.n_confs)}
    return {
        "record_type": "torsiondrive",
        "name": entry.entry,
        "status": "COMPLETE",
        "initial_molecules": [make_molecule(entry, 0)],
        "optimizations": points,
        "minimum_optimizations": {key: value[0] for key, value in points.items()},
    }


def write_json(path: pathlib.Path, records: object) -> None:
    path.write_text(json.dumps(records))


def write_descent(path: pathlib.Path, entries: collections.abc.Mapping[str, Entry]) -> None:
    write_dataset(path, list(entries.values()))
