"""What replicas looked like, against the reference."""

import dataclasses

import numpy
import pytest
import torch

from common.data.trajectories import join_frames
from common.replicas.comparisons import compare, compute_frame_errors, correlate_reference_velocities, diffuse_reference
from tests.replicas.findings import load, make_observables


def test_the_reference_itself_has_no_error(made_up_reference, findings):
    """Replicas that show the held-out frames themselves."""
    coords = made_up_reference.get_coords(True)
    frames = dataclasses.replace(
        findings.evaluation.frames,
        coords=coords,
        velocities=coords,
        replicas=torch.arange(len(coords)) % 6,
        steps=torch.arange(len(coords)),
        weights=torch.ones(len(coords), dtype=torch.float64),
    )
    evaluation = dataclasses.replace(findings.evaluation, frames=frames)
    comparison = compare(make_observables(made_up_reference)["adf"], evaluation, made_up_reference, 6)
    assert comparison.error == pytest.approx(0.0, abs=1e-12)
    assert comparison.scatter > 0.0
    assert (comparison.errors > 0.0).all()


def test_means_over_replicas_add_up(findings):
    comparison = findings.comparisons["rdf"]
    counts = numpy.bincount(findings.evaluation.frames.replicas, minlength=6).astype(float)
    known = counts > 0
    expected = (comparison.by_replica[known] * counts[known, None]).sum(0) / counts.sum()
    numpy.testing.assert_allclose(comparison.mean, expected, atol=1e-10)
    assert comparison.error == pytest.approx(abs(comparison.mean - comparison.target).mean())


def test_without_frames_there_is_no_mean(made_up_reference, findings):
    frames = findings.evaluation.frames
    empty = type(frames)(*(getattr(frames, field.name)[:0] for field in dataclasses.fields(frames)))
    evaluation = dataclasses.replace(findings.evaluation, frames=empty)
    comparison = compare(make_observables(made_up_reference)["adf"], evaluation, made_up_reference, 6)
    assert comparison.mean is None
    assert comparison.error is None
    assert numpy.isnan(comparison.errors).all()


def test_correlations_begin_at_one(findings, made_up_reference):
    own = findings.velocity_correlations
    known = numpy.isfinite(own[:, 0])
    numpy.testing.assert_allclose(own[known, 0], 1.0)
    assert findings.reference_correlation[0] == pytest.approx(1.0)
    without = [dataclasses.replace(part, velocities=None) for part in made_up_reference.known]
    silent = dataclasses.replace(made_up_reference, known=tuple(without), held_out=tuple(without))
    assert correlate_reference_velocities(silent, 4) is None


def test_a_reference_without_order_does_not_diffuse(made_up_reference):
    loose = [dataclasses.replace(part, frame_interval=None) for part in made_up_reference.known]
    assert diffuse_reference(dataclasses.replace(made_up_reference, known=tuple(loose)), 3, 10.0) is None
    displacements, diffusivities = diffuse_reference(made_up_reference, 3, 10.0)
    assert displacements.shape == (2, 3)
    assert (displacements[:, 0] == 0.0).all()
    assert len(diffusivities) == 2


def test_errors_do_not_know_the_zero_of_energies(made_up_reference, made_up_potential):
    entry = join_frames(made_up_reference.held_out)
    potential = load(made_up_reference, made_up_potential)
    shifted = dataclasses.replace(entry, energy=entry.energy + 1000.0)
    first, second = compute_frame_errors(potential, entry), compute_frame_errors(potential, shifted)
    assert first.energy_mae == pytest.approx(second.energy_mae)
    _, forces = potential.compute_energies_and_forces(torch.from_numpy(entry.coords).float())
    assert first.force_mae == pytest.approx(float(abs(forces.numpy() - entry.forces).mean()), rel=1e-5)
