"""The quadratic programme: its optimum against brute force, and limits that hold."""

import itertools

import numpy
import pytest
import torch

from common.fitting.exact_fit import fit_exact, search_all
from common.fitting.quadratic_program import ValenceProblem, build_valence_problem, solve_valence
from common.forcefields.trainable import Column
from common.sufficient_statistics.quadratic import QuadraticForm
from tests.fitting.problems import OPTIMALITY, VALENCE

SOLVED = 1e-9
"""Of solutions of order 1; found: 1e-13."""


def make_form(random: numpy.random.Generator, n_variables: int) -> QuadraticForm:
    """A positive definite form."""
    residuals = random.standard_normal((3 * n_variables, n_variables + 1))
    return QuadraticForm(torch.from_numpy(residuals.T @ residuals))


def find_minimum_by_brute_force(form: QuadraticForm, limits: numpy.ndarray, bounds: numpy.ndarray) -> float:
    """The least value over all choices of limits that hold with equality: the optimum is among these points."""
    n = len(form.slope)
    lowest = numpy.inf
    for size in range(n + 1):
        for chosen in itertools.combinations(range(len(bounds)), size):
            active = limits[list(chosen)].reshape(-1, n)
            system = numpy.block([[form.curvature.numpy(), active.T], [active, numpy.zeros((size, size))]])
            right = numpy.concatenate([form.slope.numpy(), bounds[list(chosen)]])
            point = numpy.linalg.lstsq(system, right, rcond=None)[0][:n]
            if (limits @ point <= bounds + 1e-9).all():
                lowest = min(lowest, form.evaluate(torch.from_numpy(point)).item())
    return lowest


@pytest.mark.parametrize("seed", range(20))
def test_the_optimum_is_that_of_brute_force(seed):
    random = numpy.random.default_rng(seed)
    form = make_form(random, 4)
    limits, bounds = random.standard_normal((6, 4)), random.uniform(0.0, 0.2, 6)  # zero is allowed
    solution = solve_valence(form, ValenceProblem(numpy.arange(4), limits, bounds))
    assert solution.residual < OPTIMALITY
    assert (limits @ solution.delta.numpy() <= bounds + SOLVED).all()
    assert solution.value == pytest.approx(find_minimum_by_brute_force(form, limits, bounds), rel=1e-9)
    numpy.testing.assert_allclose(
        (limits @ solution.delta.numpy())[solution.active], bounds[solution.active], 0, SOLVED
    )
    assert (solution.multipliers >= 0.0).all()


def test_without_limits_it_is_one_system_of_equations():
    form = make_form(numpy.random.default_rng(0), 5)
    solution = solve_valence(form, ValenceProblem(numpy.arange(5), numpy.zeros((0, 5)), numpy.zeros(0)))
    expected = torch.linalg.solve(form.curvature, form.slope)
    assert torch.allclose(solution.delta, expected, rtol=0.0, atol=SOLVED)


def test_what_does_not_vary_stays_where_it_is_put():
    form = make_form(numpy.random.default_rng(1), 3)
    start = torch.tensor([9.0, -0.7, 9.0], dtype=torch.float64)
    solution = solve_valence(form, ValenceProblem(numpy.array([0, 2]), numpy.zeros((0, 3)), numpy.zeros(0)), start)
    assert solution.delta[1] == -0.7
    gradient = form.curvature @ solution.delta - form.slope
    assert gradient[[0, 2]].abs().max() < SOLVED
    assert gradient[1].abs() > 0.1


def test_a_limit_that_occurs_twice_does_no_harm():
    form = make_form(numpy.random.default_rng(2), 2)
    limits, bounds = numpy.array([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), numpy.array([-1.0, -1.0, -2.0])
    solution = solve_valence(form, ValenceProblem(numpy.arange(2), limits, bounds))
    assert solution.delta[0].item() == pytest.approx(-1.0, abs=SOLVED)
    assert solution.residual < OPTIMALITY


def test_limits_that_contradict_each_other_are_an_error():
    form = make_form(numpy.random.default_rng(3), 1)
    problem = ValenceProblem(numpy.arange(1), numpy.array([[1.0], [-1.0]]), numpy.array([-1.0, -1.0]))
    with pytest.raises(ValueError, match="the quadratic programme was not solved"):
        solve_valence(form, problem)


def test_statistics_that_are_not_finite_are_an_error():
    form = QuadraticForm(torch.full((2, 2), torch.nan, dtype=torch.float64))
    with pytest.raises(ValueError, match="the statistics are not finite"):
        solve_valence(form, ValenceProblem(numpy.arange(1), numpy.zeros((0, 1)), numpy.zeros(0)))


def test_limits_of_parameters_are_limits_of_phi(valence):
    """At random parameters, a limit in φ is kept just where the parameter keeps its own."""
    objective, trainable = valence.build()
    problem = build_valence_problem(trainable, VALENCE, objective.linearization, objective.features)
    generator = torch.Generator().manual_seed(0)
    start = trainable.to_values(valence.molecules.force_field)
    noise = torch.randn(len(start), generator=generator, dtype=torch.float64)
    within = trainable.to_force_field(trainable.clamp(start + 0.2 * start.abs() * noise))
    assert (problem.limits @ objective.compute_delta(within).numpy() <= problem.bounds + SOLVED).all()
    used = set(objective.features.tolist())
    row = next(row for row in range(99) if objective.linearization.get_feature("Angles", row) in used)
    values = start.clone()
    values[trainable.names.index(("Angles", row, "k"))] = -1.0  # k is -100: its scale is 0.01
    excess = problem.limits @ objective.compute_delta(trainable.to_force_field(values)).numpy() - problem.bounds
    assert (numpy.abs(excess - 100.0) < SOLVED).any()


def test_limits_hold_and_are_optimal(valence):
    """Tight limits are reached by many parameters; the conditions hold, and no feasible point nearby is better."""
    bonds = {"k": Column(lower=600.0, upper=800.0), "length": Column(lower=1.3, upper=1.4)}
    columns = VALENCE | {"Bonds": bonds, "ProperTorsions": {"k": Column(lower=0.0, upper=1.0)}}
    objective, trainable = valence.build(columns=columns)
    exact = fit_exact(objective, trainable, columns)
    assert exact.optimality < OPTIMALITY
    values = trainable.to_values(exact.force_field)
    at_limit = (values == trainable.lower) | (values == trainable.upper)
    assert at_limit.sum() > 20
    lbfgs = search_all(objective, trainable, exact.force_field, 500)
    assert exact.loss <= lbfgs.loss * (1.0 + 1e-9)


def test_a_vanishing_force_constant_keeps_its_minimum():
    """Data that ask for a negative force constant get zero, and the minimum stays where it was: no division by it."""
    matrix = torch.tensor([[1.0, 0.2, -9.0], [0.2, 1.0, 0.5], [-9.0, 0.5, 100.0]], dtype=torch.float64)
    form = QuadraticForm(matrix)
    limits = numpy.array([[-1.0, 0.0], [-0.3, 1.0], [-0.2, -1.0]])  # k = 5 + δ_0 >= 0, -0.2 k <= b <= 0.3 k
    problem = ValenceProblem(numpy.arange(2), limits, numpy.array([5.0, 1.5, 1.0]))
    solution = solve_valence(form, problem)
    assert solution.delta.tolist() == pytest.approx([-5.0, 0.0], abs=SOLVED)
    assert solution.residual < OPTIMALITY
