"""The rule of selection against a direct transcription, and what it is for."""

import math

import numpy
import pytest
import torch

from common.selection.disagreement import (
    compute_energy_disagreement,
    compute_force_disagreement,
    select_by_disagreement,
)
from tests.helpers import rotate_randomly

EXACT = 1e-12  # relative; a few roundings


def select_slowly(disagreement: list[float], energies: list[list[float]], n_select: int) -> tuple[list[int], list[int]]:
    """The rule, word for word, in plain Python.

    The frame of the largest disagreement is chosen; of the n that are left, the int(0.05 n) + 1 of the largest
    |correlation| of the deviations from the members' mean with those of the chosen one are dropped, the chosen one
    first; until there are enough, or fewer than five are left. Ties go by index. A frame without deviation has none.
    """
    left = list(range(len(energies)))
    chosen = []
    while len(chosen) < n_select and not len(left) < 5:
        best = left[0]
        for i in left:
            if disagreement[i] > disagreement[best]:
                best = i
        chosen.append(best)
        correlations = []
        for i in left:
            mean_i, mean_b = (math.fsum(energies[j]) / len(energies[j]) for j in (i, best))
            c_i, c_b = [e - mean_i for e in energies[i]], [e - mean_b for e in energies[best]]
            norm = math.sqrt(math.fsum(x * x for x in c_i)) * math.sqrt(math.fsum(x * x for x in c_b))
            r = abs(math.fsum(x * y for x, y in zip(c_i, c_b, strict=True))) / norm if norm else 0.0
            correlations.append(round(r, 12))
        order = sorted(left, key=lambda i: (i != best, -correlations[left.index(i)], i))
        for i in order[: int(0.05 * len(left)) + 1]:
            left.remove(i)
    return chosen, left


def draw_case(seed: int) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, int]:
    """Energies, numbers of atoms and how many to choose; ties and constant rows among them."""
    random = numpy.random.default_rng(seed)
    n, n_members = int(random.integers(0, 120)), int(random.integers(2, 9))
    if seed % 10 == 0:
        n = int(random.integers(0, 6))
    energies = random.normal(-50.0, 3.0, (n, 1)) + random.normal(0.0, 1.0, (n, n_members))
    if seed % 2 and n:
        energies = energies[random.integers(0, n, n)]  # rows that occur several times
    if seed % 3 == 0 and n:
        energies[random.random(n) < 0.2] = -50.0  # members agree
    if seed % 5 == 0 and n > 4:
        energies[n // 2] = 2.0 * energies[0] + 1.0  # the same quarrel, twice as loud
    n_atoms = random.choice([5, 9], n)
    return energies, n_atoms, compute_energy_disagreement(energies, n_atoms), int(random.integers(0, 40))


@pytest.mark.parametrize("seed", range(200))
def test_the_choice_is_that_of_the_rule(seed):
    energies, _, disagreement, n_select = draw_case(seed)
    chosen, left = select_by_disagreement(disagreement, energies, n_select)
    assert (chosen, left) == select_slowly(disagreement.tolist(), energies.tolist(), n_select)
    assert len(chosen) == len(set(chosen)) <= n_select


def test_all_rows_constant():
    energies = numpy.full((30, 4), -7.0)
    assert select_by_disagreement(numpy.zeros(30), energies, 3).chosen == [
        0,
        2,
        4,
    ]  # one more goes with each: int(1.5) + 1


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (4, 0), (5, 1), (6, 2)])
def test_fewer_than_five(n, expected):
    energies = numpy.random.default_rng(n).normal(size=(n, 4))
    disagreement = compute_energy_disagreement(energies, numpy.ones(n))
    assert len(select_by_disagreement(disagreement, energies, 99).chosen) == expected


def test_one_label_settles_what_goes_together():
    """Two families of frames, each with one quarrel of its members: the second choice is of the other family."""
    random = numpy.random.default_rng(1)
    quarrels = numpy.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
    loudness = numpy.concatenate([random.uniform(2.0, 3.0, 20), random.uniform(0.1, 0.2, 380)])
    family = numpy.repeat([0, 1], [20, 380])
    energies = quarrels[family] * loudness[:, None]
    chosen = select_by_disagreement(compute_energy_disagreement(energies, numpy.ones(400)), energies, 2).chosen
    assert family[chosen].tolist() == [0, 1]


def test_energies_count_by_atom():
    energies = numpy.array([[0.0, 2.0], [0.0, 3.0]])
    numpy.testing.assert_allclose(compute_energy_disagreement(energies, numpy.array([1, 3])), [1.0, 0.5], rtol=EXACT)


def test_force_disagreement_is_that_of_the_worst_atom():
    forces = numpy.zeros((2, 1, 3, 3))
    forces[0, 0, 1] = [3.0, 0.0, 0.0]
    forces[1, 0, 1] = [0.0, 4.0, 0.0]
    assert compute_force_disagreement(forces) == pytest.approx(2.5, rel=EXACT)  # half the distance of two members


def test_force_disagreement_does_not_change_with_orientation():
    forces = torch.from_numpy(numpy.random.default_rng(0).normal(size=(4, 7, 5, 3)))
    turned = rotate_randomly(forces, 3)
    found = [compute_force_disagreement(each.numpy()) for each in (forces, turned)]
    numpy.testing.assert_allclose(found[0], found[1], rtol=1e-10)
