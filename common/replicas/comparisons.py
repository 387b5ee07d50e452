"""What replicas looked like while they were stable, beside the reference and the reference's own scatter."""

import dataclasses
import typing

import numpy
import torch

from common.data.dataset import Entry
from common.observables.correlations import (
    compute_diffusivity,
    compute_mean_squared_displacement,
    compute_velocity_autocorrelation,
)
from common.observables.observable import Observable
from common.potentials.potential import Potential
from common.replicas.evaluation import Evaluation
from common.replicas.reference import Reference
from common.replicas.setup import FRAMES_AT_ONCE, compute_mean


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An observable of the stable frames against the reference.

    Attributes:
        mean: over all stable frames, ``shape=(n_values,)``; None where there is no frame.
        by_replica: over those of each replica, ``shape=(n_replicas, n_values)``; NaN where it has none.
        target: of what is held out of the reference.
        error: mean absolute error of ``mean``; None where there is none.
        errors: of each replica, ``shape=(n_replicas,)``.
        scatter: mean absolute difference of the known and the held-out part of the reference: less says nothing.
    """

    mean: numpy.ndarray | None
    by_replica: numpy.ndarray
    target: numpy.ndarray
    error: float | None
    errors: numpy.ndarray
    scatter: float


def compare(observable: Observable, evaluation: Evaluation, reference: Reference, n_replicas: int) -> Comparison:
    """The observable over stable frames against what is held out of the reference."""
    target = compute_mean(observable, reference.get_coords(True))
    known = compute_mean(observable, reference.get_coords(False))
    sums = torch.zeros((n_replicas, observable.n_values), dtype=torch.float64)
    counts = torch.zeros(n_replicas, dtype=torch.float64)
    frames = evaluation.frames
    for start in range(0, len(frames.coords), FRAMES_AT_ONCE):
        part = slice(start, start + FRAMES_AT_ONCE)
        values = observable.compute(frames.coords[part].to("cpu", torch.float64))
        sums.index_add_(0, frames.replicas[part], values)
        counts.index_add_(0, frames.replicas[part], torch.ones(len(values), dtype=torch.float64))
    by_replica = sums / counts[:, None]
    mean = sums.sum(0) / counts.sum() if counts.sum() else None
    return Comparison(
        mean=None if mean is None else mean.numpy(),
        by_replica=by_replica.numpy(),
        target=target.numpy(),
        error=None if mean is None else float((mean - target).abs().mean()),
        errors=(by_replica - target).abs().mean(1).numpy(),
        scatter=float((known - target).abs().mean()),
    )


def correlate_velocities(evaluation: Evaluation, n_replicas: int, window: int) -> numpy.ndarray:
    """That of each replica, ``shape=(n_replicas, window)``; NaN where it did not live so long."""
    result = numpy.full((n_replicas, window), numpy.nan)
    for replica in range(n_replicas):
        own = evaluation.fast.replicas == replica
        if int(own.sum()) > 1:
            velocities = evaluation.fast.velocities[own].to("cpu", torch.float64)
            result[replica] = compute_velocity_autocorrelation(velocities, window).numpy()
    return result


def correlate_reference_velocities(reference: Reference, window: int) -> numpy.ndarray | None:
    """That of the reference, over all its runs; None where it has no velocities or its frames have no order."""
    parts = [
        compute_velocity_autocorrelation(torch.from_numpy(part.velocities), window).numpy()
        for part in (*reference.known, *reference.held_out)
        if part.velocities is not None and part.frame_interval is not None and part.n_frames >= window
    ]
    return numpy.mean(parts, axis=0) if parts else None


class Diffusion(typing.NamedTuple):
    """Mean squared displacements [Angstrom²] ``shape=(n, window)`` and diffusivities [1e-9 m²/s] ``shape=(n,)``."""

    displacements: numpy.ndarray
    diffusivities: numpy.ndarray


def diffuse(evaluation: Evaluation, n_replicas: int, masses: torch.Tensor, window: int, interval: float) -> Diffusion:
    """The diffusion of each replica up to its failure; ``interval`` [fs] between frames."""
    displacements = numpy.full((n_replicas, window), numpy.nan)
    diffusivities = numpy.full(n_replicas, numpy.nan)
    for replica in range(n_replicas):
        own = evaluation.frames.replicas == replica
        if int(own.sum()) > 2:
            coords = evaluation.frames.coords[own].to("cpu", torch.float64)
            displacement = compute_mean_squared_displacement(coords, masses, window)
            displacements[replica] = displacement.numpy()
            diffusivities[replica] = compute_diffusivity(displacement, interval)
    return Diffusion(displacements, diffusivities)


def diffuse_reference(reference: Reference, window: int, interval: float) -> Diffusion | None:
    """That of the reference's runs, at the times nearest to ``interval`` [fs]; None where its frames have no order."""
    displacements, diffusivities = [], []
    for known, held_out in zip(reference.known, reference.held_out, strict=True):
        if known.frame_interval is None:
            return None
        step = max(1, round(interval / known.frame_interval))
        coords = torch.from_numpy(numpy.concatenate((known.entry.coords, held_out.entry.coords))[::step])
        displacement = compute_mean_squared_displacement(coords, reference.system.masses, window)
        displacements.append(displacement.numpy())
        diffusivities.append(compute_diffusivity(displacement, step * known.frame_interval))
    return Diffusion(numpy.array(displacements), numpy.array(diffusivities))


@dataclasses.dataclass(frozen=True)
class FrameErrors:
    """Errors over held-out frames [kcal/mol, kcal/mol/Angstrom]; energies relative to their mean."""

    energy_mae: float
    energy_rmse: float
    force_mae: float
    force_rmse: float


def compute_frame_errors(potential: Potential, entry: Entry) -> FrameErrors:
    """The errors of energies and forces over the frames of an entry."""
    energies, forces = [], []
    for part in torch.from_numpy(numpy.ascontiguousarray(entry.coords)).split(FRAMES_AT_ONCE):
        own_energies, own_forces = potential.compute_energies_and_forces(part.to(potential.device, potential.dtype))
        energies.append(own_energies.detach().to("cpu", torch.float64))
        forces.append(own_forces.detach().to("cpu", torch.float64))
    d_energy = torch.cat(energies).numpy() - entry.energy
    d_energy = d_energy - d_energy.mean()
    d_forces = torch.cat(forces).numpy() - entry.forces
    return FrameErrors(
        float(abs(d_energy).mean()),
        float((d_energy**2).mean() ** 0.5),
        float(abs(d_forces).mean()),
        float((d_forces**2).mean() ** 0.5),
    )
