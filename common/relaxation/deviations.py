"""How far a relaxed geometry lies from the one that it started from."""

import collections.abc
import typing

import numpy
import torch
from rdkit import Chem
from rdkit.Chem import TorsionFingerprints

from common.forcefields.energy import GEOMETRY
from common.forcefields.tensors import TensorForceField, TensorTopology
from common.geometry.superposition import superpose
from common.molecules.conformers import attach_conformers

MEASURED_TYPES = ("Bonds", "Angles", "ImproperTorsions")
"""The internal coordinates whose deviations are told by parameter."""


def compute_rmsds(coords: numpy.ndarray, others: numpy.ndarray, atoms: numpy.ndarray | None = None) -> numpy.ndarray:
    """Root mean square distances [Angstrom] between atoms after superposition of each pair, ``shape=(n_confs,)``.

    Args:
        coords, others: [Angstrom] ``shape=(n_confs, n_atoms, 3)``, the atoms in one order.
        atoms: which atoms are superposed and count; None: all.
    """
    if atoms is not None:
        coords, others = coords[:, atoms], others[:, atoms]
    centred = [one - one.mean(axis=1, keepdims=True) for one in (coords, others)]
    return numpy.array(
        [
            numpy.sqrt(((one @ superpose(one, other).T - other) ** 2).sum(axis=-1).mean())
            for one, other in zip(*centred, strict=True)
        ]
    )


def compute_torsion_deviations(mol: Chem.Mol, coords: numpy.ndarray, others: numpy.ndarray) -> numpy.ndarray | None:
    """RDKit's torsion fingerprint deviations, 0 to 1, ``shape=(n_confs,)``; None where no bond turns.

    Schulz-Gasch et al., J. Chem. Inf. Model. 52, 1499 (2012): deviations of rotatable bonds and rings, weighted by how
    near the middle of the molecule they are.

    Args:
        mol: the molecule, atoms in the order of the coordinates.
        coords, others: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    turning, rings = TorsionFingerprints.CalculateTorsionLists(mol)
    if not turning and not rings:
        return None
    weights = TorsionFingerprints.CalculateTorsionWeights(mol)
    both = attach_conformers(mol, numpy.concatenate((coords, others)))
    ids = [conformer.GetId() for conformer in both.GetConformers()]
    angles = [TorsionFingerprints.CalculateTorsionAngles(both, turning, rings, confId=i) for i in ids]
    pairs = zip(angles[: len(coords)], angles[len(coords) :], strict=True)
    return numpy.array([TorsionFingerprints.CalculateTFD(one, other, weights=weights) for one, other in pairs])


class ParameterDeviations(typing.NamedTuple):
    """Of the internal coordinates of one parameter: how many, and sum and sum of squares of their changes."""

    n: int
    total: float
    squares: float


def measure_parameter_deviations(
    topology: TensorTopology, force_field: TensorForceField, coords: numpy.ndarray, others: numpy.ndarray
) -> dict[tuple[str, str], ParameterDeviations]:
    """By (type, SMIRKS), how bonds [Angstrom], angles and impropers [degree] differ in ``coords`` from ``others``.

    Args:
        topology: of the molecule.
        force_field: names the parameters.
        coords, others: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    found = {}
    for type_ in MEASURED_TYPES:
        potential = force_field.potentials_by_type.get(type_)
        if potential is None or type_ not in topology.parameters:
            continue
        map_ = topology.get_valence_map(type_)
        differences = compute_differences(type_, map_.particle_idxs, coords, others)
        _, first = numpy.unique(  # a coordinate with several terms counts once
            torch.cat((map_.particle_idxs, _number_smirks(potential, map_.parameter_idxs)[:, None]), dim=1).numpy(),
            axis=0,
            return_index=True,
        )
        smirks = [potential.parameter_keys[i].id for i in map_.parameter_idxs.tolist()]
        by_smirks: dict[str, list[int]] = {}
        for i in first.tolist():
            by_smirks.setdefault(smirks[i], []).append(i)
        for name, places in by_smirks.items():
            own = differences[:, places]
            found[type_, name] = ParameterDeviations(own.size, float(own.sum()), float((own**2).sum()))
    return found


def _number_smirks(potential: typing.Any, parameter_idxs: torch.Tensor) -> torch.Tensor:
    numbers: dict[str, int] = {}
    of_rows = torch.tensor([numbers.setdefault(key.id, len(numbers)) for key in potential.parameter_keys])
    return of_rows[parameter_idxs]


def compute_differences(
    type_: str, particle_idxs: torch.Tensor, coords: numpy.ndarray, others: numpy.ndarray
) -> numpy.ndarray:
    """Internal coordinates of one type in ``coords`` less those in ``others``, ``shape=(n_confs, n_interactions)``.

    [Angstrom] for bonds, [degree] for angles and dihedrals; of dihedrals the short way round.
    """
    values = [
        GEOMETRY[type_][0](*torch.from_numpy(one).permute(2, 0, 1)[..., particle_idxs].unbind(-1)).numpy()
        for one in (coords, others)
    ]
    difference = values[0] - values[1]
    if type_ == "Bonds":
        return difference
    return (numpy.degrees(difference) + 180.0) % 360.0 - 180.0


def find_heavy_atoms(atomic_nums: collections.abc.Sequence[int] | numpy.ndarray) -> numpy.ndarray:
    """The places of all atoms but hydrogens; of all where there are fewer than three."""
    heavy = numpy.flatnonzero(numpy.asarray(atomic_nums) > 1)
    return heavy if len(heavy) > 2 else numpy.arange(len(atomic_nums))
