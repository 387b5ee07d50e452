"""Gaussian priors: what keeps parameters near their start that the data hardly determine.

A prior adds λ Σ ((p - p_c) / width)² to the loss. For k of any term that is quadratic in φ already. For the minimum q0
of a bond or angle it is made quadratic by writing q0 - q_c = (b - a (q_c - q̄)) / k ≈ (b - a (q_c - q̄)) / k_c, with the
centre's force constant in the denominator, which is exact to first order.
"""

import dataclasses

import torch

from common.forcefields.tensors import TensorForceField
from common.forcefields.trainable import Trainable, TrainedColumns
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS, Linearization
from common.sufficient_statistics.quadratic import QuadraticForm


@dataclasses.dataclass(frozen=True)
class Prior:
    """The sum of squares over all trained parameters that have a width.

    Attributes:
        valence: as a quadratic form in δ, on the used features.
        vdw_places: where the widths of vdW apply in its flattened parameters, ``shape=(n,)``.
        vdw_centre, vdw_width: their centres and widths, ``shape=(n,)``.
    """

    valence: QuadraticForm
    vdw_places: torch.Tensor
    vdw_centre: torch.Tensor
    vdw_width: torch.Tensor

    def evaluate(self, delta: torch.Tensor, force_field: TensorForceField) -> torch.Tensor:
        """The sum of squares; differentiable.

        Args:
            delta: φ - φ̄ of ``force_field`` on the used features.
        """
        return self.valence.evaluate(delta) + self.evaluate_vdw(force_field)

    def evaluate_vdw(self, force_field: TensorForceField) -> torch.Tensor:
        """The part of the vdW parameters, which is not quadratic in φ."""
        if not len(self.vdw_places):
            return torch.zeros((), dtype=torch.float64)
        values = force_field.potentials_by_type["vdW"].parameters.reshape(-1)[self.vdw_places]
        return (((values - self.vdw_centre) / self.vdw_width) ** 2).sum()


def build_prior(
    trainable: Trainable,
    trained: TrainedColumns,
    linearization: Linearization,
    features: torch.Tensor,
    centre: TensorForceField,
) -> Prior:
    """The prior of the trained parameters that φ's used features depend on.

    Args:
        trainable: which parameters are trained.
        trained: how each column is trained, with its width.
        linearization, features: the layout of φ and the features in use.
        centre: the force field that the prior draws towards; with the rows of ``trainable``'s.
    """
    place = {feature: i for i, feature in enumerate(features.tolist())}
    n_used = len(features)
    rows: list[torch.Tensor] = []
    phi = linearization.compute(linearization.reference)[features]
    for type_, row, name in trainable.names:
        width = trained[type_][name].prior
        first = place.get(linearization.get_feature(type_, row)) if type_ != "vdW" else None
        if width is None or first is None:
            continue
        rows.append(_make_row(type_, row, name, width, first, phi, linearization.reference, centre))
    matrix = torch.stack(rows) if rows else torch.zeros((0, n_used + 1), dtype=torch.float64)
    return Prior(QuadraticForm(matrix.T @ matrix), *_collect_vdw(trainable, trained, centre))


def _make_row(
    type_: str,
    row: int,
    name: str,
    width: float,
    first: int,
    phi: torch.Tensor,
    reference: TensorForceField,
    centre: TensorForceField,
) -> torch.Tensor:
    """The residual (p - p0) / width as a function of (δ, -1)."""
    central = centre.potentials_by_type[type_]
    k = central.column("k")[row]
    residual = torch.zeros(len(phi) + 1, dtype=torch.float64)
    if name == "k":
        residual[first] = 1.0 / width
        residual[-1] = (k - phi[first]) / width
        return residual
    minimum = MINIMUM_COLUMNS[type_]
    shift = central.column(minimum)[row] - reference.potentials_by_type[type_].column(minimum)[row]
    scale = 1.0 / (width * max(float(k), 1.0))  # a vanishing force constant has no minimum to speak of
    residual[first + 1] = scale
    residual[first] = -shift * scale
    residual[-1] = phi[first] * shift * scale - phi[first + 1] * scale
    return residual


def _collect_vdw(
    trainable: Trainable, trained: TrainedColumns, centre: TensorForceField
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    names = [name for name in trainable.names if name[0] == "vdW" and trained["vdW"][name[2]].prior is not None]
    if not names:
        return torch.zeros(0, dtype=torch.int64), *torch.zeros((2, 0), dtype=torch.float64)
    potential = centre.potentials_by_type["vdW"]
    cols = potential.parameter_cols
    places = torch.tensor([row * len(cols) + cols.index(name) for _, row, name in names])
    widths = torch.tensor([trained["vdW"][name].prior for _, _, name in names], dtype=torch.float64)
    return places, potential.parameters.reshape(-1)[places], widths
