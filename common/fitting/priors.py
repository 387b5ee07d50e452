"""Gaussian priors: what keeps parameters near their start that the data hardly determine.

A prior adds Σ λ_kind ((p - p_c) / width)² to the loss; the parameters of one section and column are a kind and share a
strength λ. For k of any term that is quadratic in φ already. For the minimum q0
of a bond or angle it is made quadratic by writing q0 - q_c = (b - a (q_c - q̄)) / k ≈ (b - a (q_c - q̄)) / k_c, with the
centre's force constant in the denominator, which is exact to first order.
"""

import collections.abc
import dataclasses

import numpy
import scipy.sparse
import torch

from common.forcefields.tensors import TensorForceField
from common.forcefields.trainable import Trainable, TrainedColumns
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS, Linearization
from common.sufficient_statistics.quadratic import QuadraticForm

Kind = tuple[str, str]
"""Section and column of parameters that share the strength of their prior, e.g. ("Bonds", "length")."""

Strengths = collections.abc.Mapping[Kind, float]
"""By kind the strength of the prior [kcal²/mol²]; what is not named has none."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """The residuals (p - p_c) / width of all trained parameters that have a width.

    Attributes:
        rows: those of valence terms as functions of (δ, -1) on the used features, ``shape=(n_rows, n_used + 1)``.
        row_kinds: the kind of each.
        vdw_places: where the widths of vdW apply in its flattened parameters, ``shape=(n,)``.
        vdw_centre, vdw_width: their centres and widths, ``shape=(n,)``.
        vdw_kinds: the kind of each.
    """

    rows: scipy.sparse.csr_array
    row_kinds: tuple[Kind, ...]
    vdw_places: torch.Tensor
    vdw_centre: torch.Tensor
    vdw_width: torch.Tensor
    vdw_kinds: tuple[Kind, ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All that there are, valence first, in the order of the force field."""
        return tuple(dict.fromkeys((*self.row_kinds, *self.vdw_kinds)))

    def combine(self, strengths: Strengths) -> QuadraticForm:
        """The part of the valence terms, each residual with the strength of its kind."""
        weights = numpy.array([strengths.get(kind, 0.0) for kind in self.row_kinds])
        weighted = scipy.sparse.diags_array(weights) @ self.rows if len(weights) else self.rows
        return QuadraticForm(torch.from_numpy((self.rows.T @ weighted).toarray()))

    def evaluate_vdw(self, force_field: TensorForceField, strengths: Strengths) -> torch.Tensor:
        """The part of the vdW parameters, which is not quadratic in φ; differentiable."""
        if not len(self.vdw_places):
            return torch.zeros((), dtype=torch.float64)
        weights = torch.tensor([strengths.get(kind, 0.0) for kind in self.vdw_kinds], dtype=torch.float64)
        values = force_field.potentials_by_type["vdW"].parameters.reshape(-1)[self.vdw_places]
        return (weights * ((values - self.vdw_centre) / self.vdw_width) ** 2).sum()


def build_prior(
    trainable: Trainable,
    trained: TrainedColumns,
    linearization: Linearization,
    features: torch.Tensor,
    centre: TensorForceField,
    parents: collections.abc.Mapping[tuple[str, int], int] | None = None,
) -> Prior:
    """The prior of the trained parameters that φ's used features depend on.

    A parameter that was split off another one, its parent, is drawn to wherever that goes; such deviations are kinds of
    their own, named e.g. ("Bonds", "length of children").

    Args:
        trainable: which parameters are trained.
        trained: how each column is trained, with its width.
        linearization, features: the layout of φ and the features in use.
        centre: the force field that the prior draws towards; with the rows of ``trainable``'s.
        parents: by type and row of a child the row of its parent, whose reference values it has.
    """
    place = {feature: i for i, feature in enumerate(features.tolist())}
    rows: list[dict[int, float]] = []
    kinds: list[Kind] = []
    phi = linearization.compute(linearization.reference)[features]
    for type_, row, name in trainable.names:
        width = trained[type_][name].prior
        first = place.get(linearization.get_feature(type_, row)) if type_ != "vdW" else None
        if width is None or first is None:
            continue
        parent = (parents or {}).get((type_, row))
        if parent is None or linearization.get_feature(type_, parent) not in place:
            rows.append(_make_row(type_, row, name, width, first, phi, linearization.reference, centre))
        else:
            k = float(linearization.reference.potentials_by_type[type_].column("k")[row])
            other = place[linearization.get_feature(type_, parent)]
            rows.append(_make_deviation(name, width, k, first, other))
        kinds.append((type_, name if parent is None else name + OF_CHILDREN))
    entries = [(i, column, value) for i, row in enumerate(rows) for column, value in row.items()]
    places, columns, values = (list(one) for one in zip(*entries, strict=True)) if entries else ([], [], [])
    matrix = scipy.sparse.csr_array(
        (numpy.array(values, dtype=numpy.float64), (places, columns)), shape=(len(rows), len(features) + 1)
    )
    return Prior(matrix, tuple(kinds), *_collect_vdw(trainable, trained, centre))


def _make_row(
    type_: str,
    row: int,
    name: str,
    width: float,
    first: int,
    phi: torch.Tensor,
    reference: TensorForceField,
    centre: TensorForceField,
) -> dict[int, float]:
    """The residual (p - p0) / width as a function of (δ, -1): its coefficients by place."""
    central = centre.potentials_by_type[type_]
    k = float(central.column("k")[row])
    last = len(phi)
    if name == "k":
        return {first: 1.0 / width, last: (k - float(phi[first])) / width}
    minimum = MINIMUM_COLUMNS[type_]
    shift = float(central.column(minimum)[row] - reference.potentials_by_type[type_].column(minimum)[row])
    scale = 1.0 / (width * max(k, 1.0))  # a vanishing force constant has no minimum to speak of
    return {
        first + 1: scale,
        first: -shift * scale,
        last: float(phi[first]) * shift * scale - float(phi[first + 1]) * scale,
    }


OF_CHILDREN = " of children"
"""Ends the kind of the deviations of children from their parents."""


def is_of_children(kind: Kind) -> bool:
    """Whether a kind is the deviations of children from their parents."""
    return kind[1].endswith(OF_CHILDREN)


def _make_deviation(name: str, width: float, k: float, first: int, parent: int) -> dict[int, float]:
    """The residual (p - p_parent) / width of a child as a function of (δ, -1); both have the same reference."""
    is_minimum = name in MINIMUM_COLUMNS.values()
    shift = 1 if is_minimum else 0
    scale = 1.0 / (width * max(abs(k), 1.0)) if is_minimum else 1.0 / width
    return {first + shift: scale, parent + shift: -scale}


def _collect_vdw(
    trainable: Trainable, trained: TrainedColumns, centre: TensorForceField
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[Kind, ...]]:
    names = [name for name in trainable.names if name[0] == "vdW" and trained["vdW"][name[2]].prior is not None]
    if not names:
        return torch.zeros(0, dtype=torch.int64), *torch.zeros((2, 0), dtype=torch.float64), ()
    potential = centre.potentials_by_type["vdW"]
    cols = potential.parameter_cols
    places = torch.tensor([row * len(cols) + cols.index(name) for _, row, name in names])
    widths = torch.tensor([trained["vdW"][name].prior for _, _, name in names], dtype=torch.float64)
    kinds = tuple((type_, name) for type_, _, name in names)
    return places, potential.parameters.reshape(-1)[places], widths, kinds
