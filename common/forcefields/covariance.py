"""How far trained parameters are uncertain together, and what that makes uncertain of energies.

With the covariance C of the parameters and the derivatives J of the energies of a molecule's conformers with respect
to them, each taken relative to the mean of the conformers, the variances of the relative energies are the diagonal of
J C Jᵀ.
"""

import dataclasses
import os

import numpy
import torch

from common.files.tensor_file import read_tensors, write_tensors
from common.forcefields.energy import compute_energy
from common.forcefields.tensors import TensorForceField, TensorTopology

BLOCK_SIZE = 64
"""Conformers whose derivatives are computed at once."""


@dataclasses.dataclass(frozen=True)
class ParameterCovariance:
    """What is not certain of trained values.

    Attributes:
        names: type, row and column of each value.
        matrix: their covariance in the columns' own units, ``shape=(n, n)``.
        residual: root mean square of what the fit leaves of relative energies in training [kcal/mol]: what this form
            of force field cannot follow.
    """

    names: tuple[tuple[str, int, str], ...]
    matrix: torch.Tensor
    residual: float


def save_covariance(path: str | os.PathLike, covariance: ParameterCovariance) -> None:
    """Writes a covariance as a file of tensors."""
    names = [list(name) for name in covariance.names]
    write_tensors({"names": names, "matrix": covariance.matrix, "residual": covariance.residual}, path)


def load_covariance(path: str | os.PathLike) -> ParameterCovariance:
    """Reads what :func:`save_covariance` wrote.

    Raises:
        FileNotFoundError, ValueError: the file is missing or damaged.
    """
    plain = read_tensors(path)
    names = tuple((type_, row, column) for type_, row, column in plain["names"])
    return ParameterCovariance(names, plain["matrix"], plain["residual"])


def compute_standard_errors(
    topology: TensorTopology, force_field: TensorForceField, covariance: ParameterCovariance, coords: torch.Tensor
) -> numpy.ndarray:
    """Standard errors of the energies of conformers relative to their mean [kcal/mol], ``shape=(n_confs,)``.

    Args:
        topology: of the molecule.
        force_field: with the fitted values.
        covariance: of these.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    jacobian = torch.cat(
        [compute_energy_jacobian(topology, force_field, covariance.names, block) for block in coords.split(BLOCK_SIZE)]
    )
    jacobian = jacobian - jacobian.mean(dim=0)
    touched = (jacobian != 0.0).any(dim=0)
    jacobian, matrix = jacobian[:, touched], covariance.matrix[touched][:, touched]
    return torch.sqrt(((jacobian @ matrix) * jacobian).sum(dim=1).clamp(min=0.0)).numpy()


def compute_energy_jacobian(
    topology: TensorTopology,
    force_field: TensorForceField,
    names: tuple[tuple[str, int, str], ...],
    coords: torch.Tensor,
) -> torch.Tensor:
    """Derivatives of energies with respect to parameters, in the columns' own units, ``shape=(n_confs, n_names)``.

    Args:
        topology: of the molecule.
        force_field: where the derivatives are taken.
        names: type, row and column of each parameter.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    types = sorted({type_ for type_, _, _ in names} & topology.parameters.keys())
    chosen = TensorForceField(tuple(force_field.potentials_by_type[type_] for type_ in types))
    jacobian = coords.new_zeros((len(coords), len(names)))
    if not types:
        return jacobian

    def compute(*tables: torch.Tensor) -> torch.Tensor:
        return compute_energy(topology, chosen.replace_parameters(dict(zip(types, tables, strict=True))), coords)

    tables = tuple(potential.parameters.detach() for potential in chosen.potentials)
    for type_, block in zip(types, torch.autograd.functional.jacobian(compute, tables, vectorize=True), strict=True):
        cols = chosen.potentials_by_type[type_].parameter_cols
        places = [i for i, name in enumerate(names) if name[0] == type_]
        rows = torch.tensor([names[i][1] for i in places])
        jacobian[:, places] = block[:, rows, torch.tensor([cols.index(names[i][2]) for i in places])]
    return jacobian
