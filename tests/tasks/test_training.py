"""A network learns energies and forces, on its own sample, until validation says stop."""

import copy
import dataclasses

import numpy
import pytest
import torch

from common.neural.atom_energies import AtomEnergyNetwork
from common.potentials.ensemble import Frames, compute_energies_and_forces, compute_reference, predict
from common.tasks.training import (
    TrainingError,
    TrainingSettings,
    compute_loss,
    draw_sample,
    fit_references,
    train_member,
)
from tests.tasks.made_up import NUMBERS, PAINN, SCHNET, draw_labels, springs

NETWORKS = {"painn": PAINN, "schnet": SCHNET}
STEP = 2e-5  # [Angstrom] for central differences in float64
FORCE_TOLERANCE = 1e-6  # [kcal/mol/Angstrom] of energies of some kcal/mol in float64

QUICK = TrainingSettings(batch_size=5, learning_rate=0.02, evaluation_interval=10, patience=3, n_drops=1, max_steps=300)


def make_network(name="painn", dtype=torch.float32):
    return AtomEnergyNetwork(NETWORKS[name], torch.Generator().manual_seed(3)).to(dtype)


def make_batch(labels, dtype=torch.float32):
    frames = Frames(*(torch.from_numpy(each) for each in (labels.numbers, labels.coords, labels.n_atoms)))
    energies = torch.from_numpy(labels.energies - labels.energies.mean()).to(dtype)
    return frames, energies, torch.from_numpy(labels.forces).to(dtype)


# --- forces are trained ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_force_term_has_a_gradient_for_every_weight_that_forces_depend_on(name):
    network = make_network(name)
    settings = dataclasses.replace(QUICK, energy_weight=0.0)
    compute_loss(network, *make_batch(draw_labels(6, 0)), settings).backward()
    without = {key for key, value in network.named_parameters() if value.grad is None or not value.grad.abs().max() > 0}
    assert without <= {"head.bias"}  # shifts all energies alike


@pytest.mark.parametrize("name", NETWORKS)
def test_the_force_error_falls_with_energy_weight_0(name):
    settings = dataclasses.replace(QUICK, energy_weight=0.0)
    labels, test = draw_labels(30, 0), draw_labels(30, 1)
    contents, _ = train_member(make_network(name), labels, settings, 0)
    before = float((test.forces**2).mean() ** 0.5)
    _, forces = predict([contents], NUMBERS, test.coords.reshape(-1, 3, 3))
    after = float(((forces[0] - test.forces.reshape(-1, 3, 3)) ** 2).mean() ** 0.5)
    assert after < 0.5 * before


@pytest.mark.parametrize("name", NETWORKS)
def test_forces_are_minus_the_gradient(name):
    network = make_network(name, torch.float64)
    frames, _, _ = make_batch(draw_labels(2, 0))
    _, forces = compute_energies_and_forces(network, frames)
    for atom in range(6):
        for axis in range(3):
            shift = torch.zeros_like(frames.coords)
            shift[atom, axis] = STEP
            ends = [
                compute_energies_and_forces(network, dataclasses.replace(frames, coords=frames.coords + sign * shift))[
                    0
                ]
                for sign in (1.0, -1.0)
            ]
            numeric = -float((ends[0] - ends[1]).sum()) / (2.0 * STEP)
            assert float(forces[atom, axis]) == pytest.approx(numeric, abs=FORCE_TOLERANCE)


# --- the loss --------------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_formula():
    network, labels = make_network(dtype=torch.float64), draw_labels(4, 0)
    frames, energies, forces = make_batch(labels, torch.float64)
    settings = dataclasses.replace(QUICK, energy_weight=2.0, force_weight=3.0, energy_delta=0.1, force_delta=5.0)
    predicted, predicted_forces = compute_energies_and_forces(network, frames)

    def huber(r, delta):
        r = abs(float(r))
        return 0.5 * r * r if r < delta else delta * (r - 0.5 * delta)

    of_energies = numpy.mean([huber((p - e) / 3, 0.1) for p, e in zip(predicted, energies, strict=True)])
    of_forces = numpy.mean([huber(p - f, 5.0) for p, f in zip(predicted_forces.ravel(), forces.ravel(), strict=True)])
    loss = compute_loss(network, frames, energies, forces, settings)
    assert float(loss.detach()) == pytest.approx(2.0 * of_energies + 3.0 * of_forces, rel=1e-9)


def test_frames_of_several_molecules_are_as_good_as_one_by_one():
    network, labels = make_network(dtype=torch.float64), draw_labels(3, 0)
    frames, _, _ = make_batch(labels)
    energies, forces = compute_energies_and_forces(network, frames)
    for i in range(3):
        energy, force = compute_energies_and_forces(network, frames.select(torch.tensor([i])))
        assert float(energy) == pytest.approx(float(energies[i]), abs=1e-9)
        torch.testing.assert_close(force, forces[3 * i : 3 * i + 3])


# --- references ------------------------------------------------------------------------------------------------------


def test_references_make_the_network_right_on_average():
    network, labels = make_network(), draw_labels(10, 0)
    references = fit_references(network, labels, "cpu")
    energies, _ = compute_energies_and_forces(network, make_batch(labels)[0])
    offset = 1 * references[8] + 2 * references[1]
    assert float(energies.double().mean()) + offset == pytest.approx(labels.energies.mean(), abs=1e-3)


def test_members_share_their_references():
    labels = draw_labels(20, 0)
    settings = dataclasses.replace(QUICK, max_steps=10)
    members = [train_member(make_network(), labels, settings, seed)[0] for seed in (1, 2)]
    assert members[0].reference_energies == members[1].reference_energies
    with pytest.raises(ValueError, match=r"knows the elements \[1, 8\], not 6"):
        compute_reference(members[0], [6, 1])


# --- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 20, 200])
def test_bootstrap_draws_with_replacement_and_validates_on_the_rest(n):
    training, validation = draw_sample(n, TrainingSettings(resampling="bootstrap"), 5)
    assert len(training) == n
    assert sorted({*training.tolist(), *validation.tolist()}) == list(range(n))
    assert not set(training) & set(validation)
    assert len(validation) >= 1


def test_bootstrap_leaves_out_as_many_as_it_should():
    shares = [len(draw_sample(100, TrainingSettings(), seed)[1]) / 100 for seed in range(50)]
    assert numpy.mean(shares) == pytest.approx((1 - 1 / 100) ** 100, abs=0.02)  # about 1/e, deviation 0.03/sqrt(50)


@pytest.mark.parametrize(("n", "n_validation"), [(2, 1), (10, 1), (50, 5)])
def test_shuffle_leaves_a_share_out(n, n_validation):
    training, validation = draw_sample(n, TrainingSettings(resampling="shuffle", validation_fraction=0.1), 5)
    assert len(validation) == n_validation
    assert sorted([*training, *validation]) == list(range(n))


def test_each_seed_has_its_own_sample():
    samples = [draw_sample(30, TrainingSettings(), seed)[0].tolist() for seed in (1, 2, 1)]
    assert samples[0] == samples[2] != samples[1]


# --- the course of a training ----------------------------------------------------------------------------------------


def test_it_learns_and_stops_when_validation_gets_no_better():
    labels, test = draw_labels(40, 0), draw_labels(40, 1)
    seen = []
    settings = dataclasses.replace(QUICK, max_steps=3000)
    contents, progress = train_member(make_network(), labels, settings, 7, lambda step, error: seen.append(error))
    assert progress.has_converged
    assert progress.n_steps < 3000
    assert progress.validation_error == pytest.approx(min(seen))
    assert progress.best_step == 10 * (1 + int(numpy.argmin(seen)))
    assert progress.n_steps - progress.best_step >= 10 * 3
    assert progress.n_training + progress.n_validation == 40
    energies, _ = predict([contents], NUMBERS, test.coords.reshape(-1, 3, 3))
    assert numpy.std(energies[0] - test.energies) < 0.5 * numpy.std(test.energies)


def test_a_training_that_still_gets_better_says_so():
    _, progress = train_member(make_network(), draw_labels(40, 0), dataclasses.replace(QUICK, max_steps=20), 7)
    assert not progress.has_converged
    assert progress.n_steps == 20


def test_the_same_seed_gives_the_same_network_and_the_start_stays_as_it_is():
    network, labels = make_network(), draw_labels(10, 0)
    before = copy.deepcopy(network.state_dict())
    settings = dataclasses.replace(QUICK, max_steps=20)
    first, second = (train_member(network, labels, settings, 3)[0].network.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    other = train_member(network, labels, settings, 4)[0].network.state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_structures_with_large_forces_are_left_out():
    labels = draw_labels(20, 0)
    limit = float(numpy.median(labels.find_largest_forces()))
    _, progress = train_member(make_network(), labels, dataclasses.replace(QUICK, max_force=limit, max_steps=10), 0)
    assert progress.n_excluded == 10
    assert progress.n_training + progress.n_validation == 10


def test_too_few_structures():
    with pytest.raises(TrainingError, match=r"1 structures to train on, 0 left out.*at least two"):
        train_member(make_network(), draw_labels(1, 0), QUICK, 0)


def test_what_is_not_finite_ends_the_training():
    labels = draw_labels(10, 0)
    forces = labels.forces.copy()
    forces[0, 0] = numpy.nan
    broken = dataclasses.replace(labels, forces=forces)
    settings = dataclasses.replace(QUICK, resampling="shuffle", max_force=numpy.inf)
    broken = dataclasses.replace(broken, forces=numpy.where(numpy.isnan(forces), 1e30, forces))
    with pytest.raises(TrainingError, match=r"the gradient of the loss is (inf|nan)"):
        train_member(make_network(), broken, dataclasses.replace(settings, force_delta=1e38), 0)


def test_the_made_up_molecule_is_consistent():
    labels, shift = draw_labels(1, 0), numpy.zeros((3, 3))
    shift[1, 0] = STEP
    ends = [springs(NUMBERS, labels.coords + sign * shift, 0).energy for sign in (1, -1)]
    assert labels.forces[1, 0] == pytest.approx(-(ends[0] - ends[1]) / (2 * STEP), rel=1e-6)
