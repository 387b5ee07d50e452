"""Batches of steps: what is drawn, and what is laid out."""

import numpy
import pytest

from common.generators.batches import Geometry, build_table, count_pairs, draw_steps, lay_out
from tests.generators.made_up import make_settings, make_table

SMILES = ["C", "CCO", "FC=O", "C1CC1"]


@pytest.fixture
def settings():
    return make_settings(prediction_cutoff=2.0)


@pytest.fixture
def table(settings):
    return make_table(SMILES, settings)


def test_all_steps_or_so_many_without_a_step_drawn_twice(table):
    molecules = numpy.array([1, 3, 0])
    n_steps = 2 * table.n_atoms[molecules]
    everything = draw_steps(table, molecules, 0, numpy.random.default_rng(0))
    assert numpy.bincount(everything.molecules)[molecules].tolist() == n_steps.tolist()
    some = draw_steps(table, molecules, 12, numpy.random.default_rng(0))
    assert numpy.bincount(some.molecules)[molecules].tolist() == numpy.minimum(12, n_steps).tolist()
    for molecule in molecules:
        numbers = some.numbers[some.molecules == molecule]
        assert (numpy.diff(numbers) > 0).all()


def test_the_same_seed_draws_the_same(table):
    first, second, other = (draw_steps(table, numpy.arange(4), 5, numpy.random.default_rng(seed)) for seed in (1, 1, 2))
    for a, b in zip(first, second, strict=True):
        numpy.testing.assert_array_equal(a, b)
    assert not numpy.array_equal(first.focus, other.focus)


def test_rows_are_what_is_placed_and_answers_are_what_comes(table, settings):
    steps = draw_steps(table, numpy.array([1, 2]), 0, numpy.random.default_rng(0))
    batch = lay_out(table, steps, settings)
    partial = batch.partial
    assert len(partial.distances) == 1 + sum(n * (n + 1) // 2 for n in table.n_atoms[[1, 2]].tolist())
    measured = 0
    for i in range(len(steps)):
        first = table.atom_starts[steps.molecules[i]]
        n_atoms = table.n_atoms[steps.molecules[i]]
        placed_at = steps.placed_at[steps.placed_starts[i] :][:n_atoms]
        placed = numpy.flatnonzero(placed_at < steps.numbers[i])
        rows = slice(int(partial.starts[i]), int(partial.starts[i + 1]))
        assert partial.nodes[rows].tolist() == [0, *(placed + 1)]
        assert partial.kinds[rows].tolist() == [5, *table.classes[first + placed]]
        assert partial.nodes[partial.focus_rows[i]] == steps.focus[i] + 1
        coords = numpy.concatenate([numpy.zeros((1, 3)), table.coords[first : first + n_atoms]])
        centre, near = coords[steps.focus[i] + 1], [0]
        near += [a + 1 for a in placed if numpy.linalg.norm(coords[a + 1] - centre) <= settings.prediction_cutoff]
        own = batch.predicting_steps == i
        assert batch.predicting[own].tolist() == [rows.start + [0, *(placed + 1)].index(n) for n in near] + [
            partial.n_rows + i
        ]
        assert batch.missing[i].sum() == n_atoms - len(placed)
        if steps.atom[i] < 0:
            assert batch.next_classes[i] == 5
            continue
        assert batch.next_classes[i] == table.classes[first + steps.atom[i]]
        expected = [numpy.linalg.norm(coords[steps.atom[i] + 1] - coords[n]) for n in near]
        expected.append(numpy.linalg.norm(coords[steps.atom[i] + 1] - centre))  # the token, at the focus
        found = batch.distances[measured : measured + len(expected)]
        numpy.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
        measured += len(expected)
    assert measured == len(batch.distances)


def test_pairs_are_counted_with_the_molecules_own(table):
    steps = draw_steps(table, numpy.array([0]), 0, numpy.random.default_rng(0))  # methane: 6 nodes, 10 steps
    placed = [int((steps.placed_at < number).sum()) for number in steps.numbers]
    assert count_pairs(table, steps).sum() == pytest.approx(sum((n + 1) ** 2 for n in placed) + 15)


@pytest.mark.parametrize(
    ("numbers", "coords", "message"),
    [
        ([1, 17], [[0, 0, 0], [0, 0, 1.27]], r"elements \[17\] are not among the types"),
        ([1, 1], [[0, 0, 0], [0, 0, 3.0]], "not connected within 1.7"),
    ],
)
def test_what_cannot_be_placed_is_refused(numbers, coords, message, settings):
    with pytest.raises(ValueError, match=message):
        build_table([Geometry(numpy.array(numbers), numpy.array(coords, dtype=float))], settings)
