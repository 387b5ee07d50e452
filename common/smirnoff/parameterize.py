"""Applies a force field to many molecules, in processes, and collects the result in one record."""

import collections.abc
import dataclasses
import datetime
import platform
import re
import typing

import numpy
import rdkit
import torch
from rdkit import Chem

from common.forcefields.stacking import StackedTopologies, join_stacked, stack_topologies
from common.forcefields.tensors import (
    NonbondedParameterMap,
    ParameterizedMolecules,
    ParameterKey,
    TensorForceField,
    TensorPotential,
    TensorTopology,
    ValenceParameterMap,
)
from common.molecules.mapped_smiles import from_mapped_smiles, make_connectivity_key
from common.nagl.model import load_charge_model
from common.processes.pool import Prepared, run_in_processes
from common.smirnoff.assignment import Assigner, Assignment, build_potentials, list_bonds
from common.smirnoff.charges import (
    ChargeMethod,
    check_total_charge,
    choose_charge_method,
    compute_increments,
    describe_charges,
)
from common.smirnoff.offxml import ForceFieldError, ForceFieldFile

CHUNK_SIZE = 16
"""Molecules that a worker takes at a time; their charges are computed in one batch."""


class MoleculeArrays(typing.NamedTuple):
    """A parameterised molecule on its way from a worker; the fields of ``TensorTopology`` as numpy arrays.

    ``charges`` [e] is None where library charges cover the molecule or the force field has no electrostatics;
    ``connectivity`` is its connectivity key (common.molecules.mapped_smiles).
    """

    atomic_nums: numpy.ndarray
    formal_charges: numpy.ndarray
    bond_idxs: numpy.ndarray
    bond_orders: numpy.ndarray
    assignment: Assignment
    charges: numpy.ndarray | None
    connectivity: str


Parameterize = collections.abc.Callable[[collections.abc.Sequence[str]], list[MoleculeArrays | str]]
"""Gives the molecules of some mapped SMILES, in their order; for each that fails, the reason."""


class Parameterizer:
    """Applies one force field, with the built-in engine, to chunks of molecules."""

    def __init__(self, force_field: ForceFieldFile, load_model: collections.abc.Callable[[str], typing.Any]):
        self.force_field = force_field
        self.assigner = Assigner(force_field)
        self.charge_method = choose_charge_method(force_field)
        self.has_electrostatics = "Electrostatics" in force_field.sections
        self.adds_increments = self.charge_method is not None and self.charge_method.section == "ChargeIncrementModel"
        potentials = {potential.type: potential for potential in build_potentials(force_field)}
        self.library = (
            potentials["Electrostatics"].parameters[:, 0].numpy() if "Electrostatics" in potentials else numpy.zeros(0)
        )
        self.model: typing.Any = None
        if self.has_electrostatics and self.charge_method is not None and self.charge_method.method == "model":
            self.model = load_model(self.charge_method.model)
            _check_model(self.model, self.charge_method, force_field.name)

    def parameterize(self, smiles: collections.abc.Sequence[str]) -> list[MoleculeArrays | str]:
        """The molecules of some mapped SMILES, in their order; for each that fails, the reason."""
        results: list[MoleculeArrays | str] = [""] * len(smiles)
        mols: dict[int, Chem.Mol] = {}
        assignments: dict[int, Assignment] = {}
        for i, text in enumerate(smiles):
            try:
                mols[i] = from_mapped_smiles(text)
                assignments[i] = self.assigner.assign(mols[i])
            except ValueError as error:
                results[i] = _drop_name(error)
        charges = self._compute_charges({i: mols[i] for i in assignments}, assignments)
        for i, assignment in assignments.items():
            own = charges.get(i)
            results[i] = _drop_name(own) if isinstance(own, ValueError) else _collect_arrays(mols[i], assignment, own)
        return results

    def _compute_charges(
        self, mols: dict[int, Chem.Mol], assignments: dict[int, Assignment]
    ) -> dict[int, numpy.ndarray | ValueError]:
        """Charges [e] of the molecules without library charges, and why others have none."""
        if not self.has_electrostatics:
            return {}
        charges: dict[int, numpy.ndarray | ValueError] = {}
        wanted = [i for i in mols if assignments[i].library_idxs is None]
        for i, own in zip(wanted, self._compute_base_charges([mols[i] for i in wanted]), strict=True):
            if not isinstance(own, ValueError) and self.adds_increments:
                own = own + compute_increments(mols[i], self.force_field)
            charges[i] = own
        for i, mol in mols.items():
            library_idxs = assignments[i].library_idxs
            own = charges[i] if library_idxs is None else self.library[library_idxs]
            if not isinstance(own, ValueError):
                try:
                    check_total_charge(mol, own)
                except ValueError as error:
                    charges[i] = error
        return charges

    def _compute_base_charges(self, mols: list[Chem.Mol]) -> collections.abc.Sequence[numpy.ndarray | ValueError]:
        if self.charge_method is None:
            return [ValueError("no library charges cover it, and the force field names no charge model") for _ in mols]
        if self.charge_method.method == "zeros":
            return [numpy.zeros(mol.GetNumAtoms()) for mol in mols]
        if self.charge_method.method == "formal_charge":
            return [numpy.array([float(atom.GetFormalCharge()) for atom in mol.GetAtoms()]) for mol in mols]
        return self.model.compute_charges(mols) if mols else []


def _drop_name(error: ValueError) -> str:
    """The message without the SMILES before its colon, so that equal reasons can be counted."""
    name, _, reason = str(error).partition(": ")
    return reason if reason and " " not in name else str(error)


def _check_model(model: typing.Any, method: ChargeMethod, name: str) -> None:
    if method.model_sha256 and method.model_sha256 != model.sha256:
        raise ForceFieldError(
            f"{name}: {method.section}: the hash of {method.model} is {model.sha256}, the force field expects "
            f"{method.model_sha256}; install the model that the force field was made with"
        )


def _collect_arrays(mol: Chem.Mol, assignment: Assignment, charges: numpy.ndarray | None) -> MoleculeArrays:
    kekulized = Chem.Mol(mol)
    Chem.Kekulize(kekulized, clearAromaticFlags=True)
    bonds = list_bonds(mol)
    orders = [int(kekulized.GetBondBetweenAtoms(*bond).GetBondTypeAsDouble()) for bond in bonds]
    return MoleculeArrays(
        atomic_nums=numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=numpy.int64),
        formal_charges=numpy.array([atom.GetFormalCharge() for atom in mol.GetAtoms()], dtype=numpy.int64),
        bond_idxs=numpy.array(bonds, dtype=numpy.int64).reshape(-1, 2),
        bond_orders=numpy.array(orders, dtype=numpy.int64),
        assignment=assignment,
        charges=charges,
        connectivity=make_connectivity_key(mol),
    )


def parameterize(
    force_field: ForceFieldFile,
    smiles: collections.abc.Sequence[str],
    n_workers: int,
    load_model: collections.abc.Callable[[str], typing.Any] = load_charge_model,
) -> ParameterizedMolecules:
    """The built-in engine: applies a force field to molecules.

    Args:
        force_field: what :func:`common.smirnoff.offxml.read_force_field` gives.
        smiles: mapped SMILES, each once.
        n_workers: number of processes.
        load_model: gives the charge model of a name, with the methods of ``common.nagl.model.ChargeModel``; a
            module-level function.

    Raises:
        ForceFieldError: the force field asks for a charge method that is not supported, or for another model file.
        FileNotFoundError: there is no such charge model.
    """
    model = Parameterizer(force_field, load_model).model  # a fault shows here, with its own words, not as a dead worker
    prepared = Prepared(_make_parameterize, (force_field, load_model))
    collector = collect(force_field, smiles, n_workers, prepared)
    return collector.finish("builtin", describe_charges(force_field), model.sha256 if model else "", {})


def _make_parameterize(
    force_field: ForceFieldFile, load_model: collections.abc.Callable[[str], typing.Any]
) -> Parameterize:
    return Parameterizer(force_field, load_model).parameterize


def collect(
    force_field: ForceFieldFile, smiles: collections.abc.Sequence[str], n_workers: int, prepared: Prepared
) -> "Collector":
    """Lets processes parameterise chunks of molecules, and collects the result in the order of the SMILES.

    Args:
        force_field, smiles, n_workers: as :func:`parameterize`.
        prepared: makes the function, in each worker, that gives the molecules of some mapped SMILES in their order,
            and the reason for each that fails.
    """
    chunks = [list(smiles[i : i + CHUNK_SIZE]) for i in range(0, len(smiles), CHUNK_SIZE)]
    collector = Collector(force_field)
    n_workers = max(1, min(n_workers, len(chunks)))
    sizes = [len(chunk) for chunk in chunks]
    results = run_in_processes(prepared, chunks, n_workers, sizes, "parameterize", "molecule")
    for chunk, result in zip(chunks, results, strict=True):
        for text, molecule in zip(chunk, result, strict=True):
            collector.add(text, molecule)
    return collector


STACKED_AT_ONCE = 500
"""Molecules whose tensors are laid end to end together."""


class Collector:
    """Puts molecules together; charges that a model computed become rows of Electrostatics."""

    def __init__(self, force_field: ForceFieldFile):
        self.force_field = force_field
        self.potentials = build_potentials(force_field)
        electrostatics = [p for p in self.potentials if p.type == "Electrostatics"]
        self.charges = [p.parameters[:, 0].numpy() for p in electrostatics]
        self.charge_keys = [key for p in electrostatics for key in p.parameter_keys]
        self._connectivity: list[str] = []
        self._waiting: dict[str, TensorTopology] = {}
        self._stacked: list[dict[str, typing.Any]] = []
        self.failures: dict[str, str] = {}

    def add(self, smiles: str, molecule: MoleculeArrays | str) -> None:
        if isinstance(molecule, str):
            self.failures[smiles] = molecule
            return
        assignment = molecule.assignment
        maps: dict[str, ValenceParameterMap | NonbondedParameterMap] = {
            type_: ValenceParameterMap(*map(torch.from_numpy, arrays)) for type_, arrays in assignment.valence.items()
        }
        exclusions = tuple(map(torch.from_numpy, (assignment.exclusions, assignment.exclusion_scale_idxs)))
        if assignment.vdw_idxs is not None:
            maps["vdW"] = NonbondedParameterMap(torch.from_numpy(assignment.vdw_idxs), *exclusions)
        charge_idxs = assignment.library_idxs
        if molecule.charges is not None:
            charge_idxs = numpy.arange(len(molecule.charges)) + len(self.charge_keys)
            self.charges.append(molecule.charges)
            self.charge_keys += [ParameterKey(smiles, i) for i in range(len(molecule.charges))]
        if charge_idxs is not None and "Electrostatics" in self.force_field.sections:
            maps["Electrostatics"] = NonbondedParameterMap(torch.from_numpy(charge_idxs), *exclusions)
        self._connectivity.append(molecule.connectivity)
        self._waiting[smiles] = TensorTopology(
            atomic_nums=torch.from_numpy(molecule.atomic_nums),
            formal_charges=torch.from_numpy(molecule.formal_charges),
            bond_idxs=torch.from_numpy(molecule.bond_idxs),
            bond_orders=torch.from_numpy(molecule.bond_orders),
            parameters=maps,
        )
        if len(self._waiting) == STACKED_AT_ONCE:
            self._stack()

    def _stack(self) -> None:
        """Lays the molecules that wait end to end: as tensors of their own they take several times the memory."""
        self._stacked.append(stack_topologies(self._waiting, TensorForceField(tuple(self.potentials))))
        self._waiting = {}

    def finish(
        self, engine: str, charge_model: str, charge_model_sha256: str, versions: dict[str, str]
    ) -> ParameterizedMolecules:
        """The record of all molecules; ``versions`` are those of programs that only this engine uses."""
        self._stack()
        stacked = {**join_stacked(self._stacked), "connectivity": self._connectivity}
        self._stacked = []
        return ParameterizedMolecules(
            force_field=TensorForceField(tuple(self._complete(potential) for potential in self.potentials)),
            topologies=StackedTopologies(stacked),
            failures=self.failures,
            provenance={
                "force_field": self.force_field.name,
                "force_field_sha256": self.force_field.sha256,
                "offxml": self.force_field.text,
                "charge_model": charge_model,
                "charge_model_sha256": charge_model_sha256,
                "engine": engine,
                "versions": {
                    "python": platform.python_version(),
                    "rdkit": rdkit.__version__,
                    "torch": str(torch.__version__),
                    "numpy": numpy.__version__,
                    **versions,
                },
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            },
        )

    def _complete(self, potential: TensorPotential) -> TensorPotential:
        if potential.type != "Electrostatics":
            return potential
        charges = torch.from_numpy(numpy.concatenate(self.charges)).reshape(-1, 1)
        return dataclasses.replace(potential, parameters=charges, parameter_keys=tuple(self.charge_keys))


def count_reasons(failures: dict[str, str]) -> list[tuple[str, int, str]]:
    """How often each reason occurs, atom numbers aside, with one SMILES as an example; the most frequent first."""
    examples: dict[str, str] = {}
    counts: collections.Counter[str] = collections.Counter()
    for smiles, reason in failures.items():
        general = re.sub(r"\(\d+\)", "", reason)
        counts[general] += 1
        examples.setdefault(general, smiles)
    return [(reason, count, examples[reason]) for reason, count in counts.most_common()]
