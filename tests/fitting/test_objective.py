"""The loss: means over entries weighted by source, its parts, and the prior on top."""

import dataclasses

import numpy
import pytest
import torch

from common.fitting.objective import build_objective
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.statistics import GroupStatistics, Statistics
from tests.helpers import change_parameters

EXACT = 1e-12
"""Relative: sums in another order."""

N_USED = 4


def make_group(seed: int, n_entries: int) -> GroupStatistics:
    """Sums of random residuals over some entries."""
    random = numpy.random.default_rng(seed)
    matrices = []
    for _ in range(4):
        residuals = random.standard_normal((10 * n_entries, N_USED + 1))
        matrices.append(torch.from_numpy(residuals.T @ residuals))
    counts = (n_entries, n_entries, 3 * n_entries, n_entries, n_entries)
    return GroupStatistics(*counts, *matrices, sum_squared_weights=n_entries / 3.0)


@pytest.fixture
def statistics(parity_molecules) -> Statistics:
    """Two sources that train, one of which validates; the first four features."""
    groups = {
        ("one", "train"): make_group(0, 5),
        ("two", "train"): make_group(1, 2),
        ("two", "validation"): make_group(2, 1),
    }
    return Statistics(
        linearization=Linearization(parity_molecules.force_field),
        features=torch.arange(N_USED),
        groups=groups,
        folds={},
        exercise={},
        splits={},
        n_molecules={},
        fingerprint="",
        n_ranks=1,
        seconds=0.0,
        peak_memory=0.0,
        is_reused=False,
    )


@pytest.fixture
def force_field(parity_molecules):
    return change_parameters(parity_molecules.force_field, ("Bonds",), seed=1)


def sum_losses(statistics, force_field, weights) -> tuple[float, float]:
    """The two parts by their definition: the weighted mean over entries of δᵀGδ - 2hᵀδ + c."""
    linearization = statistics.linearization
    delta = (linearization.compute(force_field) - linearization.compute(linearization.reference))[:N_USED]
    vector = torch.cat((delta, torch.tensor([-1.0], dtype=torch.float64)))
    total = sum(
        weights[source] * group.n_entries for (source, split), group in statistics.groups.items() if split == "train"
    )
    return tuple(
        sum(
            weights[source] * (vector @ getattr(group, part) @ vector).item()
            for (source, split), group in statistics.groups.items()
            if split == "train"
        )
        / total
        for part in ("energy", "forces")
    )


@pytest.mark.parametrize("weights", [{"one": 1.0, "two": 1.0}, {"one": 3.0, "two": 0.5}, {"one": 0.0, "two": 1.0}])
def test_the_loss_is_the_weighted_mean_over_entries(statistics, force_field, weights):
    objective = build_objective(statistics, "train", force_weight=0.7, source_weights=weights)
    energy, forces = sum_losses(statistics, force_field, weights)
    assert [part.item() for part in objective.compute_parts(force_field)] == pytest.approx([energy, forces], rel=EXACT)
    assert objective.compute_loss(force_field).item() == pytest.approx(energy + 0.7 * forces, rel=EXACT)


def test_sources_count_once_where_nothing_else_is_said(statistics, force_field):
    plain = build_objective(statistics, "train").compute_loss(force_field)
    assert plain == build_objective(statistics, "train", source_weights={"two": 1.0}).compute_loss(force_field)


def test_a_split_without_entries_has_no_loss(statistics):
    assert build_objective(statistics, "test") is None
    assert build_objective(statistics, "validation") is not None
    assert build_objective(statistics, "validation", source_weights={"two": 0.0}) is None


@pytest.mark.parametrize(
    ("weights", "message"), [({"three": 1.0}, r"'three'.*one, two"), ({"one": -1.0}, "one is -1.0")]
)
def test_weights_that_make_no_sense_are_named(statistics, weights, message):
    with pytest.raises(ValueError, match=message):
        build_objective(statistics, "train", source_weights=weights)


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_one_form_holds_the_whole_loss(valence, strength):
    objective, _ = valence.build(strength)
    objective = dataclasses.replace(objective, force_weight=0.4)
    for seed in range(3):
        trial = change_parameters(valence.molecules.force_field, valence.columns, seed)
        value = objective.combine_forms().evaluate(objective.compute_delta(trial))
        assert value.item() == pytest.approx(objective.compute_loss(trial).item(), rel=1e-9)


def test_the_gradient_is_that_of_finite_differences(with_vdw):
    """Through ε and σ, too, of which φ is no linear function."""
    objective, trainable = with_vdw.build(strength=0.1)
    values = trainable.to_values(with_vdw.truth).requires_grad_()

    def compute_loss(trial: torch.Tensor) -> torch.Tensor:
        return objective.compute_loss(trainable.to_force_field(trial))

    (gradient,) = torch.autograd.grad(compute_loss(values), values)
    for i in range(0, len(values), 37):
        step = torch.zeros_like(values)
        step[i] = 1e-6
        with torch.no_grad():
            slope = (compute_loss(values + step) - compute_loss(values - step)).item() / 2e-6
        assert gradient[i].item() == pytest.approx(slope, rel=1e-4, abs=1e-4)
