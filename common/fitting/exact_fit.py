"""The exact fit: the optimum of the valence terms, alone or together with trained vdW parameters, and its prior.

Without vdW it is one convex quadratic programme (common/fitting/quadratic_program.py). With vdW the loss is no longer
convex, but for any ε and σ the best valence parameters are still one solve: L-BFGS then searches ε and σ alone, on the
loss that is left after that solve (variable projection, Golub and Pereyra 1973). What it finds is a local optimum of ε
and σ.
"""

import typing

import torch

from common.fitting.objective import Objective
from common.fitting.optimizers import Minimum, describe_end, minimise_lbfgs
from common.fitting.quadratic_program import build_valence_problem, recover_force_field, solve_valence
from common.forcefields.tensors import TensorForceField
from common.forcefields.trainable import Trainable, TrainedColumns

MAX_ITERATIONS = 500
"""Of the search for vdW parameters."""


class ExactFit(typing.NamedTuple):
    """What the exact fit found.

    Attributes:
        force_field: the optimum.
        loss: there, priors included.
        optimality: how well the conditions of the optimum hold, relative; see ``ExactSolution.residual`` and
            ``Minimum.gradient``.
        has_converged: False where the search for vdW parameters ended before it reached a minimum.
        message: in words.
    """

    force_field: TensorForceField
    loss: float
    optimality: float
    has_converged: bool
    message: str


def fit_exact(
    objective: Objective, trainable: Trainable, trained: TrainedColumns, start: TensorForceField | None = None
) -> ExactFit:
    """The optimum of all trained parameters.

    Args:
        objective: the training loss.
        trainable, trained: what is trained, and within which limits.
        start: fixed parameters and, for vdW, where the search starts; by default the reference.

    Raises:
        ValueError: the problem cannot be solved; see ``common.fitting.quadratic_program.solve_valence``.
    """
    start = start or trainable.force_field
    has_vdw = len(objective.linearization.vdw_pairs) and any(type_ == "vdW" for type_, _, _ in trainable.names)
    return (_fit_with_vdw if has_vdw else fit_valence)(objective, trainable, trained, start)


def fit_valence(
    objective: Objective, trainable: Trainable, trained: TrainedColumns, start: TensorForceField
) -> ExactFit:
    """The optimum of the trained valence parameters, vdW as in ``start``; see :func:`fit_exact`."""
    problem = build_valence_problem(trainable, trained, objective.linearization, objective.features)
    solution = solve_valence(objective.combine_forms(), problem, objective.compute_delta(start))
    force_field = recover_force_field(solution.delta, objective.linearization, objective.features, trainable)
    if "vdW" in start.potentials_by_type:
        force_field = force_field.replace_parameters({"vdW": start.potentials_by_type["vdW"].parameters.detach()})
    loss = objective.compute_loss(force_field).item()
    # what was lost on the way from φ to parameters: nothing, unless a force constant all but vanishes
    delta = objective.compute_delta(force_field)
    change = (objective.combine_forms().evaluate(delta).item() - solution.value) / max(solution.value, 1e-300)
    optimality = max(solution.residual, abs(change))
    return ExactFit(force_field, loss, optimality, True, "the global optimum of the valence parameters")


def _fit_with_vdw(
    objective: Objective, trainable: Trainable, trained: TrainedColumns, start: TensorForceField
) -> ExactFit:
    form = objective.combine_forms()
    problem = build_valence_problem(trainable, trained, objective.linearization, objective.features)
    initial = trainable.to_values(start)
    is_vdw = torch.tensor([name[0] == "vdW" for name in trainable.names])
    first = int(torch.searchsorted(objective.features, objective.linearization.starts["vdW"]))

    def compute_reduced_loss(vdw_values: torch.Tensor) -> torch.Tensor:
        trial = trainable.to_force_field(initial.masked_scatter(is_vdw, vdw_values))
        delta = objective.compute_delta(trial)
        # the valence parameters are at their optimum: their change contributes nothing to the derivative
        best = solve_valence(form, problem, delta.detach()).delta
        loss = form.evaluate(torch.cat((best[:first], delta[first:])))
        if objective.prior is not None:
            loss = loss + objective.prior.evaluate_vdw(trial, objective.prior_strengths)
        return loss

    minimum = minimise_lbfgs(
        compute_reduced_loss,
        initial[is_vdw],
        trainable.lower[is_vdw],
        trainable.upper[is_vdw],
        trainable.is_root[is_vdw],
        MAX_ITERATIONS,
    )
    vdw = trainable.to_force_field(initial.masked_scatter(is_vdw, minimum.values))
    valence = fit_valence(objective, trainable, trained, vdw)
    message = f"the vdW search {describe_end(minimum)}"
    return valence._replace(
        optimality=max(valence.optimality, minimum.gradient), has_converged=minimum.has_converged, message=message
    )


def search_all(objective: Objective, trainable: Trainable, start: TensorForceField, max_iterations: int) -> Minimum:
    """L-BFGS on all trained values at once, whatever they are: where it finds a minimum, that is a local one.

    Args:
        objective: the training loss.
        trainable: what is trained, and its limits.
        start: where to start.
        max_iterations: at most.

    Raises:
        ValueError: the loss is not finite at the start.
    """
    return minimise_lbfgs(
        lambda values: objective.compute_loss(trainable.to_force_field(values)),
        trainable.to_values(start),
        trainable.lower,
        trainable.upper,
        trainable.is_root,
        max_iterations,
    )
