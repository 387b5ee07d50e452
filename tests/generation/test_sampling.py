"""Generation: repeatable, complete, and the same network as in training."""

import numpy
import pytest
import torch

from common.generation.placement import GridSettings
from common.generation.sampling import (
    Request,
    Sampler,
    SamplingSettings,
    Start,
    TabulatedFilters,
    _Slots,
    draw_first_position,
    draw_uniform,
    lay_out_whole,
)
from common.generators.batches import draw_steps, lay_out
from tests.generators.made_up import CONDITIONS, make_network, make_settings, make_table

COARSE = GridSettings(spacing=0.2, temperature=1.0)
"""A grid of few points: an untrained network finds all of them likely."""

FILTER_TOLERANCE = 2e-5  # linear interpolation between 4,001 distances, float32


@pytest.fixture(scope="module")
def network():
    made = make_network(make_settings(conditions=CONDITIONS), seed=3)
    with torch.no_grad():
        made.type_head.layers[-1].bias[-1] += 0.8  # untrained, it would hardly ever stop
    return made


def generate(network, n_molecules=12, start=None, targets=None, **changes):
    settings = SamplingSettings(**{"max_atoms": 12, "batch_size": 5, "grid": COARSE, **changes})
    sampler = Sampler(network, settings, start)
    return {one.number: one for one in sampler.generate(Request(i, targets or {}) for i in range(n_molecules))}


def test_every_molecule_that_is_asked_for_comes_once(network):
    found = generate(network)
    assert sorted(found) == list(range(12))
    for one in found.values():
        assert one.coords.shape == (len(one.numbers), 3)
        assert 1 <= len(one.numbers) <= 12
        assert set(one.numbers.tolist()) <= set(network.settings.types)
    assert any(one.finished for one in found.values())


def test_molecules_that_grow_too_large_or_into_themselves_are_given_up(network):
    unfinished = [one for one in generate(network, 200).values() if not one.finished]
    assert any(len(one.numbers) == 12 for one in unfinished)
    slots = _Slots(SamplingSettings(max_atoms=4, batch_size=2), network.settings, None)
    for slot in (0, 1):
        slots.fill(slot, Request(slot, {}))
        slots.place(slot, 1, numpy.zeros(3))
    slots.place(0, 0, numpy.array([0.0, 0.09, 0.0]))  # nearer than any two atoms are
    slots.place(1, 0, numpy.array([0.0, 1.09, 0.0]))
    (crashed,) = slots.take_done(slots.find_active())
    assert (crashed.number, crashed.finished) == (0, False)
    assert slots.n_placed[1] == 2


def test_the_same_seed_gives_the_same_and_another_seed_others(network):
    first, second, other = generate(network), generate(network), generate(network, seed=1)
    for i, one in first.items():
        numpy.testing.assert_array_equal(one.numbers, second[i].numbers)
        numpy.testing.assert_array_equal(one.coords, second[i].coords)
    assert any(not numpy.array_equal(one.numbers, other[i].numbers) for i, one in first.items())


def test_a_molecule_does_not_depend_on_those_beside_it(network):
    together, alone = generate(network, batch_size=12), generate(network, batch_size=1)
    for i, one in together.items():
        numpy.testing.assert_array_equal(one.numbers, alone[i].numbers)
        numpy.testing.assert_allclose(one.coords, alone[i].coords, atol=1e-9)


def test_neighbours_of_a_focus_are_within_the_grid(network):
    for one in generate(network).values():
        distances = numpy.linalg.norm(one.coords[:, None] - one.coords[None], axis=2)
        numpy.fill_diagonal(distances, numpy.inf)
        nearest = numpy.tril(distances, -1) + numpy.triu(numpy.full_like(distances, numpy.inf))
        for i in range(1, len(one.numbers)):
            assert 0.0 < nearest[i, :i].min() <= 1.7 + 1e-9


def test_atoms_that_are_there_from_the_beginning_stay(network):
    start = Start(numpy.array([6, 8]), numpy.array([[0.0, 0.0, 0.4], [0.0, 0.0, -0.8]]), numpy.array([0]))
    found = generate(network, start=start)
    for one in found.values():
        numpy.testing.assert_array_equal(one.numbers[:2], start.numbers)
        numpy.testing.assert_array_equal(one.coords[:2], start.coords)
    assert len({len(one.numbers) for one in found.values()}) > 1


@pytest.mark.parametrize(
    ("numbers", "available", "message"),
    [([17], [0], r"elements \[17\]"), ([6], [], "no atom beside which"), ([6] * 13, [0], "more than the 12 allowed")],
)
def test_what_cannot_be_begun_with_is_refused(network, numbers, available, message):
    start = Start(numpy.array(numbers), numpy.zeros((len(numbers), 3)), numpy.array(available, dtype=int))
    with pytest.raises(ValueError, match=message):
        generate(network, start=start)


def test_the_layout_is_that_of_training(network):
    """A molecule of which all atoms are placed: the last step of its trajectory."""
    settings = make_settings(prediction_cutoff=2.0)
    table = make_table(["OCC=O"], settings)
    steps = draw_steps(table, numpy.array([0]), 0, numpy.random.default_rng(0))
    last = steps.select(slice(len(steps) - 1, None))
    expected = lay_out(table, last, settings)
    found, predicting, of_step = lay_out_whole(
        table.classes[None], table.coords[None], numpy.array([len(table.classes)]), last.focus, settings
    )
    for name, a, b in zip(found._fields, found, expected.partial, strict=True):
        torch.testing.assert_close(a, b, msg=name)
    assert predicting.tolist() == expected.predicting.tolist()
    assert of_step.tolist() == expected.predicting_steps.tolist()


def test_tabulated_filters_are_the_filters(network):
    distances = torch.linspace(0.0, 11.0, 777)
    with torch.no_grad():
        exact = network.trunk.compute_filters(distances)
        for a, b in zip(TabulatedFilters(network.trunk)(distances), exact, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=FILTER_TOLERANCE)


def test_the_first_atom_is_at_a_distance_by_its_probability_in_any_direction():
    log_probabilities = numpy.full((2, 50), -1e3)
    log_probabilities[:, [3, 20]] = numpy.log([[0.2, 0.8], [0.6, 0.4]])  # the product: 0.12 to 0.32
    random = numpy.random.default_rng(0)
    drawn = numpy.array([draw_first_position(log_probabilities, 0.1, random.random(4)) for _ in range(2000)])
    radii = numpy.linalg.norm(drawn, axis=1)
    assert set(numpy.round(radii, 6)) == {0.3, 2.0}
    share = 0.12 / 0.44
    assert numpy.mean(radii < 1.0) == pytest.approx(share, abs=4.0 * numpy.sqrt(share * (1 - share) / 2000))
    assert numpy.abs(drawn[radii > 1.0].mean(axis=0)).max() < 4.0 * 2.0 / numpy.sqrt(3 * 1400)


def test_random_numbers_are_uniform_and_unrelated():
    numbers, rounds = numpy.meshgrid(numpy.arange(100), numpy.arange(50))
    drawn = draw_uniform(7, numbers.ravel(), rounds.ravel(), 4)
    assert drawn.min() >= 0.0
    assert drawn.max() < 1.0
    n = drawn.size
    counts = numpy.histogram(drawn, bins=20, range=(0.0, 1.0))[0]
    assert ((counts - n / 20) ** 2 / (n / 20)).sum() < 43.8  # chi², 19 degrees of freedom: one in a thousand is larger
    for a, b in ((drawn[:, 0], drawn[:, 1]), (drawn[:-1, 0], drawn[1:, 0]), (drawn[:-100, 0], drawn[100:, 0])):
        assert abs(numpy.corrcoef(a, b)[0, 1]) < 4.0 / numpy.sqrt(len(a))
    assert not numpy.isin(drawn, draw_uniform(8, numbers.ravel(), rounds.ravel(), 4)).any()
