"""The making of a search space, on water with a force field that is there."""

import numpy
import pytest
import torch

from common.active_learning.preparation import (
    METHODS,
    CheapDynamics,
    Labeller,
    find_geometries,
    label_cheaply,
    make_starts,
    pretrain,
    run_cheap_dynamics,
)
from common.active_learning.search_space import make_molecule
from common.executors.serial import SerialExecutor
from common.potentials.ensemble import predict
from common.potentials.smirnoff import SmirnoffPotential
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.tasks.labelling import close_calculators
from common.tasks.training import TrainingSettings
from common.units import GAS_CONSTANT
from tests.commands import STARTER
from tests.tasks.made_up import FRAGILE, LEVEL, PAINN, SMILES, draw_coords, springs

DYNAMICS = CheapDynamics(n_replicas=8, equilibration=200, duration=800, frame_interval=20)
MOLECULE = make_molecule(SMILES)


@pytest.fixture(scope="module")
def potential():
    parameters = parameterize(read_force_field(STARTER), [SMILES], 1)
    return SmirnoffPotential(parameters.topologies[SMILES], parameters.force_field)


@pytest.fixture(scope="module")
def frames(potential):
    return run_cheap_dynamics(potential, MOLECULE, find_geometries(MOLECULE, 4, 0), 300.0, DYNAMICS, 1)


def test_frames_belong_to_the_force_field_and_have_the_temperature(potential, frames):
    assert frames.coords.shape == (320, 3, 3)
    energies, forces = potential.compute_energies_and_forces(torch.from_numpy(frames.coords))
    numpy.testing.assert_allclose(frames.energies, energies.numpy(), atol=1e-9)
    numpy.testing.assert_allclose(frames.forces, forces.numpy(), atol=1e-9)
    masses = numpy.array([15.999, 1.008, 1.008])[:, None]
    temperature = float((masses * frames.velocities**2).mean()) / 4.184e-4 / GAS_CONSTANT
    assert temperature == pytest.approx(300.0, rel=0.25)  # frames 10 fs apart are hardly independent


def test_the_same_seed_gives_the_same_frames(potential, frames):
    geometries = find_geometries(MOLECULE, 4, 0)
    again = run_cheap_dynamics(potential, MOLECULE, geometries, 300.0, DYNAMICS, 1)
    assert again.coords.tobytes() == frames.coords.tobytes()
    other = run_cheap_dynamics(potential, MOLECULE, geometries, 300.0, DYNAMICS, 2)
    assert other.coords.tobytes() != frames.coords.tobytes()


def test_frames_are_handed_out_once(frames):
    part = frames.take(10, 5)
    numpy.testing.assert_array_equal(part.coords, frames.coords[10:15])
    with pytest.raises(ValueError, match="325 frames of the force field's dynamics are wanted and 320 are there"):
        frames.take(300, 25)


def test_starts_have_the_frames_velocities(frames):
    starts = make_starts(3, frames.take(0, 2), 450.0, "new")
    assert [(start.molecule, start.temperature, start.region) for start in starts] == [(3, 450.0, "new")] * 2
    numpy.testing.assert_array_equal(starts[1].velocities, frames.velocities[1])


def test_a_network_learns_the_force_field(frames):
    labels = label_cheaply(0, MOLECULE.numbers, frames.take(0, 60))
    settings = TrainingSettings(
        resampling="shuffle", batch_size=10, learning_rate=0.02, max_steps=250, evaluation_interval=25
    )
    seen = []
    contents, progress = pretrain(PAINN, labels, settings, 1, lambda step, error: seen.append(step))
    assert seen[0] == 25
    rest = frames.take(60, 50)
    found = predict([contents], MOLECULE.numbers, rest.coords)
    error = float(((found.forces[0] - rest.forces) ** 2).mean() ** 0.5)
    assert error < 0.5 * float((rest.forces**2).mean() ** 0.5)
    assert progress.validation_error < 0.5 * float((rest.forces**2).mean() ** 0.5)


def test_labels_come_in_order_and_are_computed_once(tmp_path):
    coords = list(draw_coords(4, 0))
    with SerialExecutor(METHODS) as executor:
        labeller = Labeller(executor, tmp_path, LEVEL, "print", 30.0)
        labels, failures = labeller.label([MOLECULE], [0] * 4, coords, "test")
        files = {path: path.stat().st_mtime_ns for path in (tmp_path / "calculations").iterdir()}
        labeller.label([MOLECULE], [0] * 4, coords[::-1], "again")
    close_calculators()
    assert failures == {}
    assert labels.energies.tolist() == [springs(MOLECULE.numbers, x, 0).energy for x in coords]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "calculations").iterdir()} == files


def test_failures_are_left_out_and_told(tmp_path):
    coords = [draw_coords(1, 0, 0.01)[0], 1.5 * draw_coords(1, 1, 0.01)[0]]
    with SerialExecutor(METHODS) as executor:
        labels, failures = Labeller(executor, tmp_path, FRAGILE, "print", 30.0).label([MOLECULE], [0, 0], coords, "t")
    close_calculators()
    assert len(labels) == 1
    assert list(failures.values()) == ["the SCF does not converge"]


def test_a_level_that_is_not_there_is_an_error(tmp_path):
    with SerialExecutor(METHODS) as executor, pytest.raises(RuntimeError, match="'gfn9' is not known"):
        Labeller(executor, tmp_path, "gfn9", "print", 30.0).label([MOLECULE], [0], list(draw_coords(1, 0)), "test")
