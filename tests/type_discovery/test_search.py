"""The algebra of the search: gains against refits, updates against computing anew."""

import numpy
import pytest
import scipy.sparse

from common.type_discovery.candidates import TypeOfNow
from common.type_discovery.search import Problem, Search

EXACT = 1e-9
"""Relative: the updates and a refit differ by rounding alone."""

N_TYPES, N_LEAVES, N_PRIMITIVES = 5, 8, 6


def make_problem(seed: int, size: int, held_out: bool = False) -> tuple[Problem, list[TypeOfNow], numpy.ndarray]:
    """Leaves of a few types with ``size`` columns each, random features, and a truth that is finer than the types."""
    random = numpy.random.default_rng(seed)
    n_columns = N_TYPES * N_LEAVES * size
    features = random.normal(size=(400, n_columns)) * (random.random((400, n_columns)) < 0.5)
    residual = features @ random.normal(size=n_columns) + random.normal(size=400)
    rows = numpy.column_stack((features, residual))
    gram = scipy.sparse.csr_array(rows[:300].T @ rows[:300] / 300)
    left_out = scipy.sparse.csr_array(rows[300:].T @ rows[300:] / 100) if held_out else None
    columns = numpy.arange(n_columns).reshape(N_TYPES, N_LEAVES, size)
    base = numpy.zeros((N_TYPES * size, n_columns))
    for type_ in range(N_TYPES):
        for j in range(size):
            base[type_ * size + j, columns[type_, :, j]] = 1.0
    prior = numpy.diag([*random.uniform(0.1, 1.0, len(base)), 0.0])
    child_prior = random.uniform(0.1, 1.0, (N_TYPES, 1, size)).repeat(N_LEAVES, axis=1).reshape(-1)
    types = [
        TypeOfNow(
            leaves=numpy.arange(N_LEAVES) + N_LEAVES * type_,
            columns=columns[type_].T,
            bits=random.random((N_LEAVES, 2, N_PRIMITIVES)) < 0.5,
            molecules=random.random((N_LEAVES, 20)) < 0.5,
            is_linear=numpy.zeros(N_LEAVES, dtype=bool),
            min_molecules=2,
        )
        for type_ in range(N_TYPES)
    ]
    return Problem(gram, scipy.sparse.csr_array(base), prior, child_prior, left_out), types, child_prior


def refit(problem: Problem, children: list[numpy.ndarray]) -> tuple[float, numpy.ndarray, numpy.ndarray]:
    """The loss of a fit computed from nothing with the children's columns, its solution, and its columns' sums."""
    n_columns = problem.base.shape[1]
    sums, priors = [problem.base.toarray()], [numpy.diag(problem.prior)[:-1]]
    for columns in children:
        own = numpy.zeros((len(columns), n_columns))
        for j, places in enumerate(columns):
            own[j, places] = 1.0
        sums.append(own)
        priors.append(problem.child_prior[columns[:, 0]])
    matrix = numpy.concatenate(sums)
    gram = problem.gram.toarray()
    curvature = matrix @ gram[:-1, :-1] @ matrix.T + numpy.diag(numpy.concatenate(priors))
    slope = matrix @ gram[:-1, -1]
    x = numpy.linalg.solve(curvature, slope)
    return float(gram[-1, -1] - slope @ x), x, matrix


@pytest.mark.parametrize("size", [1, 2])
def test_predicted_gains_are_the_loss_drops_of_refits(size):
    problem, types, _ = make_problem(0, size)
    search = Search(problem, types)
    assert search.loss == pytest.approx(refit(problem, [])[0], rel=EXACT)
    for type_, scored in zip(types, search.scored, strict=True):
        for members, gain in zip(scored.candidates.members, scored.gains, strict=True):
            after, _, _ = refit(problem, [type_.columns[:, members]])
            assert gain == pytest.approx(search.loss - after, rel=EXACT)


@pytest.mark.parametrize("size", [1, 2])
def test_updated_scores_are_those_computed_anew(size):
    problem, types, _ = make_problem(1, size, held_out=True)
    search = Search(problem, types)
    owners = {leaf: type_ for type_ in types for leaf in type_.leaves.tolist()}
    children = []
    for _ in range(10):
        before = search.loss
        step = search.advance()
        children.append(owners[step.leaves[0]].get_columns(step.leaves))
        loss, x, matrix = refit(problem, children)
        assert search.loss == pytest.approx(loss, rel=EXACT)
        assert step.gain == pytest.approx(before - loss, rel=EXACT)
        assert search.solution == pytest.approx(x, rel=1e-7)
        left_out = problem.held_out.toarray()
        residual = numpy.append(matrix.T @ x, -1.0)
        assert step.loss_held_out == pytest.approx(residual @ left_out @ residual, rel=1e-7)
    for number, scored in enumerate(search.scored):
        anew = search._score(number)
        assert scored.gains == pytest.approx(anew.gains, rel=1e-7, abs=1e-12)


def test_the_largest_gain_is_taken_and_a_parent_keeps_the_rest():
    problem, types, _ = make_problem(2, 2)
    search = Search(problem, types)
    best = max(float(scored.gains.max()) for scored in search.scored)
    step = search.advance()
    assert step.gain == best
    parent, child = search.types[step.parent], search.types[-1]
    assert sorted([*parent.leaves, *child.leaves]) == types[step.parent].leaves.tolist()
    assert child.leaves.tolist() == step.leaves.tolist()


def test_it_ends_where_nothing_can_be_told_apart():
    problem, types, _ = make_problem(3, 1)
    alike = [TypeOfNow(t.leaves, t.columns, numpy.ones_like(t.bits), t.molecules, t.is_linear, 2) for t in types]
    assert Search(problem, alike).advance() is None
