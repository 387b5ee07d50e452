"""Energies and forces of a parameterised molecule: SMIRNOFF's terms in the gas phase, without cut-off.

Bonds and angles k/2 (q - q0)²; torsions k/idivf (1 + cos(n φ - phase)); Lennard-Jones 4ε((σ/r)¹² - (σ/r)⁶) with
Lorentz-Berthelot mixing; Coulomb; non-bonded terms scaled for pairs up to three bonds apart. Forces are in closed
form, all conformers at once, and everything may be differentiated with respect to the parameters (energies also with
respect to the coordinates).
"""

import collections.abc
import typing

import torch

from common.forcefields.tensors import TensorForceField, TensorPotential, TensorTopology
from common.geometry.internal_coordinates import (
    compute_angles,
    compute_angles_with_gradients,
    compute_dihedrals,
    compute_dihedrals_with_gradients,
    compute_distances,
    compute_distances_with_gradients,
)
from common.units import COULOMB_CONSTANT

Geometry = tuple[
    collections.abc.Callable[..., torch.Tensor],
    collections.abc.Callable[..., tuple[torch.Tensor, tuple[torch.Tensor, ...]]],
]

GEOMETRY: dict[str, Geometry] = {
    "Bonds": (compute_distances, compute_distances_with_gradients),
    "Angles": (compute_angles, compute_angles_with_gradients),
    "ProperTorsions": (compute_dihedrals, compute_dihedrals_with_gradients),
    "ImproperTorsions": (compute_dihedrals, compute_dihedrals_with_gradients),
    "vdW": (compute_distances, compute_distances_with_gradients),
    "Electrostatics": (compute_distances, compute_distances_with_gradients),
}
"""The internal coordinate that each type of potential is a function of, without and with its gradient."""


class Terms(typing.NamedTuple):
    """The interactions of one type in one molecule.

    Attributes:
        particle_idxs: ``shape=(n_interactions, n_particles)``.
        evaluate: internal coordinates ``(..., n_interactions)`` -> energies [kcal/mol] and their derivatives with
            respect to the internal coordinates, of the same shape.
    """

    particle_idxs: torch.Tensor
    evaluate: collections.abc.Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def compute_energy(topology: TensorTopology, force_field: TensorForceField, coords: torch.Tensor) -> torch.Tensor:
    """Potential energies [kcal/mol].

    Args:
        topology: the molecule.
        force_field: its parameters.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.

    Returns:
        ``shape=(n_confs,)``.

    Raises:
        ValueError: the coordinates are not of that shape.
    """
    parts = compute_energy_by_type(topology, force_field, coords)
    return sum(parts.values(), start=coords.new_zeros(len(coords)))


def compute_energy_by_type(
    topology: TensorTopology, force_field: TensorForceField, coords: torch.Tensor
) -> dict[str, torch.Tensor]:
    """As :func:`compute_energy`, the parts by type of potential."""
    x = _to_components(topology, coords)
    parts = {}
    for potential in force_field.potentials:
        terms = build_terms(topology, potential)
        points = x[..., terms.particle_idxs].unbind(-1)
        parts[potential.type] = terms.evaluate(GEOMETRY[potential.type][0](*points))[0].sum(-1)
    return parts


def compute_forces(topology: TensorTopology, force_field: TensorForceField, coords: torch.Tensor) -> torch.Tensor:
    """Forces [kcal/mol/Angstrom], minus the gradient of the energy, in closed form.

    Args and errors: as :func:`compute_energy`.

    Returns:
        ``shape=(n_confs, n_atoms, 3)``.
    """
    return sum(compute_forces_by_type(topology, force_field, coords).values(), start=torch.zeros_like(coords))


def compute_forces_by_type(
    topology: TensorTopology, force_field: TensorForceField, coords: torch.Tensor
) -> dict[str, torch.Tensor]:
    """As :func:`compute_forces`, the parts by type of potential."""
    x = _to_components(topology, coords)
    parts = {}
    for potential in force_field.potentials:
        terms = build_terms(topology, potential)
        parts[potential.type] = -evaluate_with_gradient(potential.type, terms, x)[1].permute(1, 2, 0)
    return parts


def evaluate_with_gradient(type_: str, terms: Terms, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The energy of each term, and the gradient of their sum.

    Args:
        type_: of the potential that the terms belong to.
        terms: what :func:`build_terms` gives.
        x: [Angstrom] coordinates, ``shape=(3, n_confs, n_atoms)``.

    Returns:
        ``shape=(n_confs, n_interactions)`` [kcal/mol] and ``shape=(3, n_confs, n_atoms)`` [kcal/mol/Angstrom].
    """
    q, dq_dx = GEOMETRY[type_][1](*x[..., terms.particle_idxs].unbind(-1))
    energies, du_dq = terms.evaluate(q)
    gradient = torch.zeros_like(x)
    for column, dq in enumerate(dq_dx):
        gradient = gradient.index_add(-1, terms.particle_idxs[:, column], du_dq * dq)
    return energies, gradient


def _to_components(topology: TensorTopology, coords: torch.Tensor) -> torch.Tensor:
    if coords.ndim != 3 or coords.shape[1:] != (topology.n_atoms, 3):
        raise ValueError(f"coords have shape {tuple(coords.shape)}, expected (n_confs, {topology.n_atoms}, 3)")
    return coords.permute(2, 0, 1).contiguous()


def build_terms(topology: TensorTopology, potential: TensorPotential) -> Terms:
    """The interactions of one type in a molecule, with their parameters looked up: fit for many evaluations."""
    return _BUILDERS[potential.type](topology, potential)


def _build_harmonic(topology: TensorTopology, potential: TensorPotential) -> Terms:
    map_ = topology.get_valence_map(potential.type)
    k = potential.column("k")[map_.parameter_idxs]
    minimum = potential.column("length" if potential.type == "Bonds" else "angle")[map_.parameter_idxs]

    def evaluate(q):
        return 0.5 * k * (q - minimum) ** 2, k * (q - minimum)

    return Terms(map_.particle_idxs, evaluate)


def _build_torsion(topology: TensorTopology, potential: TensorPotential) -> Terms:
    map_ = topology.get_valence_map(potential.type)
    columns = {name: potential.column(name)[map_.parameter_idxs] for name in potential.parameter_cols}
    k, periodicity, phase = columns["k"] / columns["idivf"], columns["periodicity"], columns["phase"]

    def evaluate(phi):
        argument = periodicity * phi - phase
        return k * (1.0 + torch.cos(argument)), -k * periodicity * torch.sin(argument)

    return Terms(map_.particle_idxs, evaluate)


def find_scaled_pairs(topology: TensorTopology, potential: TensorPotential) -> tuple[torch.Tensor, torch.Tensor]:
    """All pairs of atoms that interact, each once, and the factor that scales their interaction.

    Returns:
        ``shape=(n_pairs, 2)`` and ``shape=(n_pairs,)``; pairs with a factor of zero are left out.
    """
    map_ = topology.get_nonbonded_map(potential.type)
    device = map_.parameter_idxs.device
    scales = torch.full(
        (topology.n_atoms, topology.n_atoms), potential.attribute("scale_15").item(), dtype=torch.float64, device=device
    )
    i, j = map_.exclusions.unbind(-1)
    scales[i, j] = scales[j, i] = potential.get_scales(map_.exclusion_scale_idxs).to(torch.float64)
    pairs = torch.triu(scales, diagonal=1).nonzero()
    return pairs, scales[pairs[:, 0], pairs[:, 1]]


def mix_lorentz_berthelot(
    epsilon_1: torch.Tensor, sigma_1: torch.Tensor, epsilon_2: torch.Tensor, sigma_2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lennard-Jones parameters of unlike pairs: geometric mean of ε, arithmetic mean of σ."""
    # the square root of a product of zeros has no derivative: pairs without attraction pass around it
    product = epsilon_1 * epsilon_2
    positive = product > 0.0
    epsilon = torch.where(positive, torch.sqrt(torch.where(positive, product, 1.0)), 0.0 * product)
    return epsilon, 0.5 * (sigma_1 + sigma_2)


def _build_lennard_jones(topology: TensorTopology, potential: TensorPotential) -> Terms:
    pairs, scale = find_scaled_pairs(topology, potential)
    idxs = topology.parameters[potential.type].parameter_idxs[pairs]
    epsilon, sigma = potential.column("epsilon")[idxs], potential.column("sigma")[idxs]
    epsilon, sigma = mix_lorentz_berthelot(epsilon[:, 0], sigma[:, 0], epsilon[:, 1], sigma[:, 1])

    def evaluate(r):
        attraction = (sigma / r) ** 6
        energy = 4.0 * scale * epsilon * (attraction**2 - attraction)
        return energy, -24.0 * scale * epsilon * (2.0 * attraction**2 - attraction) / r

    return Terms(pairs, evaluate)


def _build_coulomb(topology: TensorTopology, potential: TensorPotential) -> Terms:
    pairs, scale = find_scaled_pairs(topology, potential)
    charge = potential.column("charge")[topology.parameters[potential.type].parameter_idxs[pairs]]
    strength = COULOMB_CONSTANT * scale * charge[:, 0] * charge[:, 1]

    def evaluate(r):
        energy = strength / r
        return energy, -energy / r

    return Terms(pairs, evaluate)


_BUILDERS = {
    "Bonds": _build_harmonic,
    "Angles": _build_harmonic,
    "ProperTorsions": _build_torsion,
    "ImproperTorsions": _build_torsion,
    "vdW": _build_lennard_jones,
    "Electrostatics": _build_coulomb,
}
