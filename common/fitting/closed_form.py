"""The loss of valence terms as an explicit function of the trained values, with its gradient by hand.

On each used feature φ = k s: a force constant k times s, which is 1, or q0 - q̄ for b of a bond or angle
(common/sufficient_statistics/linearization.py). With priors the loss is a quadratic form in δ = φ - φ̄, so that with
g = dL/dδ = 2 (Gδ - h) the gradient is g s on k and g k on q0, summed over the features that have them. No graph is
built and nothing is allocated: an epoch is one product of a matrix with a vector.
"""

import typing

import numba
import numpy
import torch

from common.fitting.objective import Objective
from common.forcefields.trainable import Trainable
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS

compile_epochs: typing.Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})


class ClosedForm(typing.NamedTuple):
    """How δ follows from the trained values.

    The parameters are the trained ones, in their own units, and then those that stay as they are.

    Attributes:
        fixed: the parameters that stay, ``shape=(n_fixed,)``.
        start, scales, lower, upper: of the trained values, ``shape=(n_values,)``; see ``Trainable``.
        constants: of each feature, which parameter is its k, ``shape=(n_used,)``.
        minima: of each feature, which parameter is its q0; -1 where it has none.
        reference: q̄ of each feature, 0 where it has none.
        phi_reference: φ̄, ``shape=(n_used,)``.
    """

    fixed: numpy.ndarray
    start: numpy.ndarray
    scales: numpy.ndarray
    lower: numpy.ndarray
    upper: numpy.ndarray
    constants: numpy.ndarray
    minima: numpy.ndarray
    reference: numpy.ndarray
    phi_reference: numpy.ndarray


def has_closed_form(objective: Objective, trainable: Trainable) -> bool:
    """Whether the loss is quadratic in δ, and δ of a form that is known here: no vdW is trained."""
    has_vdw = any(type_ == "vdW" for type_, _, _ in trainable.names)
    return not has_vdw and not len(objective.linearization.vdw_pairs)


def build_closed_form(objective: Objective, trainable: Trainable) -> ClosedForm:
    """Works out which values each feature depends on.

    Raises:
        ValueError: vdW is trained, see :func:`has_closed_form`.
    """
    if not has_closed_form(objective, trainable):
        raise ValueError("the loss has no closed form where vdW parameters are trained")
    places = {name: i for i, name in enumerate(trainable.names)}
    fixed: list[float] = []

    def find(type_: str, row: int, column: str) -> int:
        key = (type_, row, column)
        if key not in places:
            places[key] = len(trainable.names) + len(fixed)
            fixed.append(trainable.force_field.potentials_by_type[type_].column(column)[row].item())
        return places[key]

    linearization = objective.linearization
    rows = linearization.find_rows()
    used = objective.features.tolist()
    constants, minima, reference = [], [], []
    for feature in used:
        type_, row = rows[feature]
        is_second = feature != linearization.get_feature(type_, row)
        constants.append(find(type_, row, "k"))
        minima.append(find(type_, row, MINIMUM_COLUMNS[type_]) if is_second else -1)
        centre = linearization.reference.potentials_by_type[type_]
        reference.append(centre.column(MINIMUM_COLUMNS[type_])[row].item() if is_second else 0.0)
    return ClosedForm(
        fixed=numpy.array(fixed, dtype=numpy.float64),
        start=trainable.start.numpy(),
        scales=trainable.scales.numpy(),
        lower=trainable.lower.numpy(),
        upper=trainable.upper.numpy(),
        constants=numpy.array(constants, dtype=numpy.int64),
        minima=numpy.array(minima, dtype=numpy.int64),
        reference=numpy.array(reference, dtype=numpy.float64),
        phi_reference=objective.phi_reference.numpy(),
    )


@compile_epochs
def compute_delta(form, values, parameters, delta):
    """Fills ``parameters``, ``shape=(n_values + n_fixed,)``, and ``delta``, ``shape=(n_used,)``."""
    n = len(values)
    for i in range(n):
        # a value that has not moved keeps every bit
        has_stayed = values[i] == form.start[i] * form.scales[i]
        parameters[i] = form.start[i] if has_stayed else values[i] / form.scales[i]
    parameters[n:] = form.fixed
    for i in range(len(delta)):
        phi = parameters[form.constants[i]]
        if form.minima[i] >= 0:
            phi *= parameters[form.minima[i]] - form.reference[i]
        delta[i] = phi - form.phi_reference[i]


@compile_epochs
def evaluate(matrix, delta, product):
    """δᵀGδ - 2hᵀδ + c for [[G, h], [hᵀ, c]]; ``product`` becomes Gδ - h, half the gradient."""
    n = len(delta)
    value = matrix[n, n]
    for i in range(n):
        row, total = matrix[i], -matrix[i, n]
        for j in range(n):
            total += row[j] * delta[j]
        product[i] = total
        value += delta[i] * (total - row[n])
    return value


@compile_epochs
def pull_back(form, parameters, product, gradient):
    """Fills the gradient by the trained values, ``shape=(n_values,)``, from half of that by δ."""
    n = len(gradient)
    gradient[:] = 0.0
    for i in range(len(product)):
        constant, minimum = form.constants[i], form.minima[i]
        slope, shift = 2.0 * product[i], 1.0
        if minimum >= 0:
            shift = parameters[minimum] - form.reference[i]
            if minimum < n:
                gradient[minimum] += slope * parameters[constant]
        if constant < n:
            gradient[constant] += slope * shift
    for i in range(n):
        gradient[i] /= form.scales[i]


def compute_loss_with_gradient(
    form: ClosedForm, objective: Objective, values: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """The loss, priors included, and its gradient by the values, ``shape=(n_values,)``."""
    parameters = numpy.empty(len(form.start) + len(form.fixed))
    delta, product = numpy.empty(len(form.constants)), numpy.empty(len(form.constants))
    gradient = numpy.empty(len(form.start))
    compute_delta(form, values.numpy(), parameters, delta)
    loss = evaluate(objective.combine_forms().matrix.numpy(), delta, product)
    pull_back(form, parameters, product, gradient)
    return loss, torch.from_numpy(gradient)
