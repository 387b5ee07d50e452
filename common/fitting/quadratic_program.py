"""The global optimum of the valence parameters: a convex quadratic programme in φ.

Minimise δᵀGδ - 2hᵀδ subject to the limits of the parameters, which are linear in φ = (a, b, k):

    lower ≤ k ≤ upper,     (lower - q̄) a ≤ b ≤ (upper - q̄) a   for the minimum q0 = q̄ + b / a of a bond or angle.

The interior-point solver Clarabel (Goulart and Chen 2024) finds which limits hold; given these the optimum is a system
of linear equations, which is solved to the last digits of float64. Where the data say nothing (flat directions of G) a
vanishing prior, RIDGE, decides: of all optima the one nearest to the starting values is taken.
"""

import collections.abc
import dataclasses
import typing

import clarabel
import numpy
import scipy.linalg
import scipy.sparse
import torch

from common.forcefields.tensors import TensorForceField
from common.forcefields.trainable import Trainable, TrainedColumns
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS, Linearization
from common.sufficient_statistics.quadratic import QuadraticForm

RIDGE = 1e-10
"""Of the vanishing prior; the curvature of the data along each feature is scaled to 1. Far above rounding."""

MAX_ACTIVE_SET_STEPS = 50
"""The solver's guess of the active limits is right or nearly so: a few steps mend it."""


@dataclasses.dataclass(frozen=True)
class ValenceProblem:
    """Which features vary, and the limits on them.

    Attributes:
        variables: ``shape=(n,)`` the used features that vary; the others stay where they are.
        limits: ``shape=(m, n_used)``, and
        bounds: ``shape=(m,)``: the limits are ``limits @ delta <= bounds``.
    """

    variables: numpy.ndarray
    limits: numpy.ndarray
    bounds: numpy.ndarray


@dataclasses.dataclass(frozen=True)
class ExactSolution:
    """The optimum.

    Attributes:
        delta: φ - φ̄ on the used features, ``shape=(n_used,)``.
        value: of the quadratic form there.
        active: ``shape=(m,)`` True for each limit that holds with equality.
        multipliers: ``shape=(m,)`` Lagrange multipliers of the limits, at least 0.
        residual: the largest violation of the optimality conditions (stationarity, limits, signs), relative to the
            largest term of each.
    """

    delta: torch.Tensor
    value: float
    active: numpy.ndarray
    multipliers: numpy.ndarray
    residual: float


def build_valence_problem(
    trainable: Trainable,
    trained: TrainedColumns,
    linearization: Linearization,
    features: torch.Tensor,
) -> ValenceProblem:
    """Translates the trained valence columns and their limits into φ.

    A bond or angle whose length or angle is fixed keeps b = 0, one whose k is fixed keeps a.
    """
    place = {feature: i for i, feature in enumerate(features.tolist())}
    phi = linearization.compute(linearization.reference)[features].numpy()
    variables: list[int] = []
    limits: list[numpy.ndarray] = []
    bounds: list[float] = []
    for type_, row, name in trainable.names:
        first = place.get(linearization.get_feature(type_, row)) if type_ != "vdW" else None
        if first is None:
            continue
        settings = trained[type_][name]
        is_minimum = name == MINIMUM_COLUMNS.get(type_)
        variables.append(first + 1 if is_minimum else first)
        for value, sign in ((settings.lower, -1.0), (settings.upper, 1.0)):
            if value is None:
                continue
            limit = numpy.zeros(len(phi))
            if is_minimum:  # sign * (b - (value - q̄) a) <= 0, with a = φ̄_a + δ_a and b = δ_b
                shift = value - float(linearization.reference.potentials_by_type[type_].column(name)[row])
                limit[first + 1], limit[first] = sign, -sign * shift
                bounds.append(sign * shift * phi[first])
            else:  # sign * k <= sign * value
                limit[first] = sign
                bounds.append(sign * (value - phi[first]))
            limits.append(limit)
    return ValenceProblem(
        numpy.array(sorted(variables), dtype=numpy.int64),
        numpy.array(limits).reshape(-1, len(phi)),
        numpy.array(bounds),
    )


def solve_valence(form: QuadraticForm, problem: ValenceProblem, start: torch.Tensor | None = None) -> ExactSolution:
    """The optimum of the varying features, the others fixed.

    Args:
        form: the loss in δ, priors included.
        problem: what varies, and within which limits.
        start: values of the fixed features of δ, ``shape=(n_used,)``; zero by default.

    Raises:
        ValueError: the programme cannot be solved: its numbers are not finite, or the limits contradict each other.
    """
    variables = problem.variables
    fixed = torch.zeros(len(form.slope), dtype=torch.float64) if start is None else start.detach().clone()
    fixed[torch.from_numpy(variables)] = 0.0
    curvature = form.curvature.numpy()[numpy.ix_(variables, variables)]
    slope = (form.slope - form.curvature @ fixed).numpy()[variables]
    limits = problem.limits[:, variables]
    bounds = problem.bounds - problem.limits @ fixed.numpy()
    if not (numpy.isfinite(curvature).all() and numpy.isfinite(slope).all()):
        raise ValueError("the statistics are not finite; look for absurd energies, forces or distances in the data")

    scaled = _scale(curvature, slope, limits, bounds)
    x, multipliers = _solve(scaled.curvature, scaled.slope, scaled.limits, scaled.bounds)
    residual = _compute_residual(scaled.curvature, scaled.slope, scaled.limits, scaled.bounds, x, multipliers)
    delta = fixed.clone()
    delta[torch.from_numpy(variables)] = torch.from_numpy(x * scaled.scale)
    all_multipliers = numpy.zeros(len(bounds))
    all_multipliers[scaled.is_limit] = multipliers / scaled.norms
    return ExactSolution(delta, form.evaluate(delta).item(), all_multipliers > 0.0, all_multipliers, residual)


def solve_from_guess(
    curvature: numpy.ndarray, slope: numpy.ndarray, limits: numpy.ndarray, bounds: numpy.ndarray, active: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """What :func:`solve_valence` solves, of the varying features alone, for one of many alike programmes.

    Args:
        curvature, slope: G and h on the variables, ``shape=(n, n)`` and ``shape=(n,)``.
        limits, bounds: ``limits @ x <= bounds``, ``shape=(m, n)`` and ``shape=(m,)``.
        active: ``shape=(m,)`` which limits hold with equality, about: those of a programme much like this one.

    Returns:
        The optimum, ``shape=(n,)``, and which limits are active there.

    Raises:
        ValueError: see :func:`solve_valence`.
    """
    scaled = _scale(curvature, slope, limits, bounds)
    x, multipliers = _solve(scaled.curvature, scaled.slope, scaled.limits, scaled.bounds, active[scaled.is_limit])
    found = numpy.zeros(len(bounds), dtype=bool)
    found[scaled.is_limit] = multipliers > 0.0
    return x * scaled.scale, found


class _Scaled(typing.NamedTuple):
    """A programme whose variables have curvature 1 and whose limits are rows of unit length.

    Attributes:
        curvature, slope, limits, bounds: of it; the vanishing prior is in the curvature.
        scale: of the variables, and
        norms: of the limits, before.
        is_limit: which limits depend on any variable; the others are left out.
    """

    curvature: numpy.ndarray
    slope: numpy.ndarray
    limits: numpy.ndarray
    bounds: numpy.ndarray
    scale: numpy.ndarray
    norms: numpy.ndarray
    is_limit: numpy.ndarray


def _scale(curvature: numpy.ndarray, slope: numpy.ndarray, limits: numpy.ndarray, bounds: numpy.ndarray) -> _Scaled:
    diagonal = numpy.diag(curvature)
    scale = 1.0 / numpy.sqrt(numpy.where(diagonal > 0.0, diagonal, 1.0))  # what the data do not touch stays
    curvature = curvature * scale[:, None] * scale
    curvature[numpy.diag_indices(len(scale))] += RIDGE
    limits = limits * scale
    norms = numpy.linalg.norm(limits, axis=1)
    is_limit = norms > 0.0
    norms = norms[is_limit]
    return _Scaled(
        curvature, slope * scale, limits[is_limit] / norms[:, None], bounds[is_limit] / norms, scale, norms, is_limit
    )


def _solve(
    curvature: numpy.ndarray,
    slope: numpy.ndarray,
    limits: numpy.ndarray,
    bounds: numpy.ndarray,
    guess: numpy.ndarray | None = None,
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Minimum of xᵀGx/2 - hᵀx within ``limits @ x <= bounds`` (rows of unit length), and the multipliers.

    At the optimum a limit either holds with equality and pulls (multiplier at least 0), or has room (multiplier 0).
    Which of the two is all that has to be found out. Without any limit active, often nothing is violated. Otherwise the
    interior-point solver is near enough to the optimum to tell: an active limit has more multiplier than room. Where
    that guess is wrong, the equations solved with it show it: an active limit that pushes the wrong way is let go, one
    that is violated becomes active. If that should not settle, the interior point itself is the answer.
    """
    if guess is not None:
        settled = _settle(curvature, slope, limits, bounds, guess, _solve_active_quickly)
        if settled is not None:
            return settled
    tolerance = _TOLERANCE * (1.0 + numpy.abs(bounds))
    x, multipliers = _solve_active(curvature, slope, limits, bounds, numpy.zeros(len(bounds), dtype=bool))
    if numpy.all(limits @ x <= bounds + tolerance):
        return x, multipliers
    inner, inner_multipliers = _solve_interior(curvature, slope, limits, bounds)
    active = inner_multipliers > bounds - limits @ inner  # complementarity: of both, one is zero at the optimum
    settled = _settle(curvature, slope, limits, bounds, active, _solve_active)
    return settled if settled is not None else (inner, numpy.maximum(inner_multipliers, 0.0))


_TOLERANCE = 1e-12
"""By how much a limit may be passed, relative to its size: rounding."""

_SolveActive = collections.abc.Callable[
    [numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray], tuple[numpy.ndarray, numpy.ndarray]
]


def _settle(
    curvature: numpy.ndarray,
    slope: numpy.ndarray,
    limits: numpy.ndarray,
    bounds: numpy.ndarray,
    active: numpy.ndarray,
    solve_active: _SolveActive,
) -> tuple[numpy.ndarray, numpy.ndarray] | None:
    """The optimum, from a guess of the active limits; None where that does not lead to it."""
    tolerance = _TOLERANCE * (1.0 + numpy.abs(bounds))
    try:
        for _ in range(MAX_ACTIVE_SET_STEPS):
            x, multipliers = solve_active(curvature, slope, limits, bounds, active)
            wrong = (multipliers < 0.0) | (~active & (limits @ x > bounds + tolerance))
            if not wrong.any():
                return x, multipliers
            active = active ^ wrong  # those change sides
    except numpy.linalg.LinAlgError:
        pass
    return None


def _solve_active_quickly(
    curvature: numpy.ndarray, slope: numpy.ndarray, limits: numpy.ndarray, bounds: numpy.ndarray, active: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """As :func:`_solve_active`, by one Cholesky factor of the whole curvature and the Schur complement of the limits.

    Several times as fast, since the active limits are few; less exact where the curvature is nearly singular.

    Raises:
        numpy.linalg.LinAlgError: the curvature is not positive definite to working precision.
    """
    factor = scipy.linalg.cho_factor(curvature, lower=True, check_finite=False)
    indices = numpy.flatnonzero(active)
    if len(indices):
        r, order = scipy.linalg.qr(limits[indices].T, mode="r", pivoting=True)
        indices = indices[order[: int((numpy.abs(numpy.diag(r)) > 1e-12).sum())]]  # others repeat these
    rows = limits[indices]
    pull = scipy.linalg.cho_solve(factor, rows.T, check_finite=False)
    schur = rows @ pull
    x, push = numpy.zeros(len(slope)), numpy.zeros(len(indices))
    for _ in range(3):  # the first solves, the others refine
        free = scipy.linalg.cho_solve(factor, slope - curvature @ x - rows.T @ push, check_finite=False)
        more = numpy.linalg.solve(schur, rows @ free - (bounds[indices] - rows @ x))
        x, push = x + free - pull @ more, push + more
    multipliers = numpy.zeros(len(bounds))
    multipliers[indices] = push
    return x, multipliers


def _solve_active(
    curvature: numpy.ndarray, slope: numpy.ndarray, limits: numpy.ndarray, bounds: numpy.ndarray, active: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The optimum with some limits as equations, by the null-space method (Nocedal and Wright 2006, section 16.2).

    x has a part along the active limits, which these determine alone, and a part across them, which is free: there the
    curvature is positive definite and has a Cholesky factor.
    """
    indices = numpy.flatnonzero(active)
    q, r, order = scipy.linalg.qr(limits[indices].T, pivoting=True)
    rank = int((numpy.abs(numpy.diag(r)) > 1e-12).sum())  # limits that repeat others add nothing
    indices, r = indices[order[:rank]], r[:rank, :rank]  # limits[indices].T = along @ r
    along, across = q[:, :rank], q[:, rank:]
    x = along @ scipy.linalg.solve_triangular(r, bounds[indices], trans="T")
    if across.shape[1]:
        factor = scipy.linalg.cho_factor(across.T @ curvature @ across, lower=True)
        for _ in range(3):  # the first solves, the others refine: flat directions cost digits
            x = x + across @ scipy.linalg.cho_solve(factor, across.T @ (slope - curvature @ x))
    # what is left of the slope is pulled by the limits: limits[indices].T @ multipliers = slope - curvature @ x
    multipliers = numpy.zeros(len(bounds))
    multipliers[indices] = scipy.linalg.solve_triangular(r, along.T @ (slope - curvature @ x))
    return x, multipliers


def _solve_interior(
    curvature: numpy.ndarray, slope: numpy.ndarray, limits: numpy.ndarray, bounds: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]:
    size = max(1.0, numpy.abs(slope).max(initial=0.0))  # of the solution; the solver takes huge numbers for infinity
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    solver = clarabel.DefaultSolver(
        scipy.sparse.csc_matrix(numpy.triu(curvature)),
        -slope / size,
        scipy.sparse.csc_matrix(limits),
        bounds / size,
        [clarabel.NonnegativeConeT(len(bounds))],
        settings,
    )
    solution = solver.solve()
    if solution.status not in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved):
        raise ValueError(f"the quadratic programme was not solved ({solution.status}); check the limits in PARAMETERS")
    return size * numpy.array(solution.x), size * numpy.array(solution.z)


def _compute_residual(
    curvature: numpy.ndarray,
    slope: numpy.ndarray,
    limits: numpy.ndarray,
    bounds: numpy.ndarray,
    x: numpy.ndarray,
    multipliers: numpy.ndarray,
) -> float:
    """The largest relative violation of the Karush-Kuhn-Tucker conditions."""
    pull, push = curvature @ x, limits.T @ multipliers
    terms = numpy.abs(slope).max(initial=0.0) + numpy.abs(pull).max(initial=0.0)
    stationarity = numpy.abs(pull - slope + push).max(initial=0.0) / max(terms, 1e-300)
    excess = limits @ x - bounds
    feasibility = (numpy.maximum(excess, 0.0) / (1.0 + numpy.abs(bounds))).max(initial=0.0)
    complementarity = (numpy.abs(excess) * multipliers).max(initial=0.0) / max(terms, 1e-300)
    return float(max(stationarity, feasibility, complementarity))


def recover_force_field(
    delta: torch.Tensor, linearization: Linearization, features: torch.Tensor, trainable: Trainable
) -> TensorForceField:
    """The force field whose valence φ is φ̄ + δ; parameters that are not trained, and vdW, stay as they are.

    Limits are applied once more, to remove rounding; a bond or angle whose force constant came out as zero keeps the
    reference value of its minimum.
    """
    phi = linearization.compute(linearization.reference).clone()
    phi[features] += delta
    used = set(features.tolist())
    tables = {p.type: p.parameters.clone() for p in linearization.reference.potentials}
    for type_, row, name in trainable.names:
        if type_ == "vdW" or (feature := linearization.get_feature(type_, row)) not in used:
            continue
        cols = linearization.reference.potentials_by_type[type_].parameter_cols
        k = phi[feature]
        if name == "k":
            tables[type_][row, cols.index("k")] = k
        elif k > 0.0:
            reference = linearization.reference.potentials_by_type[type_].column(name)[row]
            tables[type_][row, cols.index(name)] = reference + phi[feature + 1] / k
    fitted = linearization.reference.replace_parameters(tables)
    return trainable.to_force_field(trainable.to_values(fitted))
