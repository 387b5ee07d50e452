"""Fixtures that several test files share: parameterised molecules whose numbers come from outside, and fits to them."""

import gzip
import json
import pathlib

import numpy
import pytest
import torch

from common.forcefields.tensors import (
    NonbondedParameterMap,
    ParameterizedMolecules,
    ParameterKey,
    TensorForceField,
    TensorPotential,
    TensorTopology,
    ValenceParameterMap,
)
from common.forcefields.terms import ENERGY_FUNCTIONS, N_PARTICLES, PARAMETER_UNITS, VALENCE_TYPES
from common.molecules.mapped_smiles import from_mapped_smiles
from common.processes.threads import use_one_thread
from common.smirnoff.assignment import find_exclusions
from tests.fitting.problems import VALENCE, WITH_VDW, Problem, make_problem

PARITY = pathlib.Path(__file__).parent / "data" / "parity"
SCALE_14 = {"vdW": 0.5, "Electrostatics": 0.8333333333}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    use_one_thread()


def read_gzipped_json(path: pathlib.Path) -> dict:
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.fixture(scope="session")
def parity_energies() -> list[dict]:
    """Coordinates, energies by type and forces that smee gave for 99 molecules with Sage 2.1.0."""
    return read_gzipped_json(PARITY / "energies.json.gz")["molecules"]


@pytest.fixture(scope="session")
def parity_molecules() -> ParameterizedMolecules:
    """The same molecules with the parameters and charges that the OpenFF stack gave them."""
    reference = read_gzipped_json(PARITY / "openff-2.1.0.json.gz")
    topologies, charges, keys = {}, [], []
    for record in reference["molecules"]:
        topologies[record["smiles"]] = _make_topology(record, len(charges))
        charges += [[charge] for charge in record["charges"]]
        keys += [ParameterKey(record["smiles"], i) for i in range(len(record["charges"]))]
    potentials = [
        _make_potential(
            type_,
            [row["values"] for row in reference["parameters"][type_]],
            [ParameterKey(row["smirks"], row["mult"]) for row in reference["parameters"][type_]],
        )
        for type_ in (*VALENCE_TYPES, "vdW")
    ]
    potentials.append(_make_potential("Electrostatics", charges, keys))
    provenance = {"force_field": "parity", "force_field_sha256": "", "offxml": ""}
    return ParameterizedMolecules(TensorForceField(tuple(potentials)), topologies, {}, provenance)


def _make_potential(type_: str, values: list[list[float]], keys: list[ParameterKey]) -> TensorPotential:
    attributes = {}
    if type_ in SCALE_14:
        attributes = {
            "attributes": torch.tensor([0.0, 0.0, SCALE_14[type_], 1.0], dtype=torch.float64),
            "attribute_cols": ("scale_12", "scale_13", "scale_14", "scale_15"),
            "attribute_units": ("", "", "", ""),
        }
    return TensorPotential(
        type=type_,
        fn=ENERGY_FUNCTIONS[type_],
        parameters=torch.tensor(values, dtype=torch.float64),
        parameter_keys=tuple(keys),
        parameter_cols=tuple(PARAMETER_UNITS[type_]),
        parameter_units=tuple(PARAMETER_UNITS[type_].values()),
        **attributes,
    )


def _make_topology(record: dict, first_charge: int) -> TensorTopology:
    mol = from_mapped_smiles(record["smiles"])
    n_atoms = mol.GetNumAtoms()
    maps = {}
    for type_ in VALENCE_TYPES:
        rows = torch.tensor(record[type_], dtype=torch.int64).reshape(-1, N_PARTICLES[type_] + 1)
        maps[type_] = ValenceParameterMap(rows[:, :-1].contiguous(), rows[:, -1].contiguous())
    exclusions, scale_idxs = (torch.from_numpy(numpy.asarray(array)) for array in find_exclusions(mol))
    vdw = torch.tensor(sorted(record["vdW"]), dtype=torch.int64)[:, 1]
    maps["vdW"] = NonbondedParameterMap(vdw, exclusions, scale_idxs)
    maps["Electrostatics"] = NonbondedParameterMap(torch.arange(n_atoms) + first_charge, exclusions, scale_idxs)
    bonds = mol.GetBonds()
    return TensorTopology(
        atomic_nums=torch.tensor([atom.GetAtomicNum() for atom in mol.GetAtoms()]),
        formal_charges=torch.tensor([atom.GetFormalCharge() for atom in mol.GetAtoms()]),
        bond_idxs=torch.tensor([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds]).reshape(-1, 2),
        bond_orders=torch.ones(len(bonds), dtype=torch.int64),
        parameters=maps,
    )


@pytest.fixture(scope="session")
def valence(tmp_path_factory, parity_molecules, parity_energies) -> Problem:
    """A made-up fit of the valence terms of 99 molecules."""
    return make_problem(tmp_path_factory.mktemp("valence"), parity_molecules, parity_energies, VALENCE)


@pytest.fixture(scope="session")
def with_vdw(tmp_path_factory, parity_molecules, parity_energies) -> Problem:
    """A made-up fit of the valence and Lennard-Jones terms of 60 molecules."""
    return make_problem(tmp_path_factory.mktemp("vdw"), parity_molecules, parity_energies[:60], WITH_VDW)
