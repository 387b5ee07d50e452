"""The files of an evaluation: metrics as JSON, arrays as ``.npy``, trajectories as extended XYZ."""

import dataclasses
import math
import pathlib
import typing

import ase
import ase.io
import numpy

from common.files.atomic import replace_atomically
from common.files.plain import write_json
from common.observables.system import System
from common.replicas.comparisons import Comparison, Diffusion, FrameErrors
from common.replicas.evaluation import Evaluation
from common.replicas.survival import Survival

METRICS = "final_metrics.json"

NAMES = {"rdf": "RDF", "adf": "ADF", "vacf": "VACF", "rdf-8-8": "OO RDF", "rdf-1-1": "HH RDF", "rdf-8-1": "HO RDF"}
"""How observables are called in the metrics."""


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that is known of one candidate.

    Attributes:
        name: of the candidate.
        survival: how long its replicas live.
        errors: of energies and forces.
        comparisons: by observable.
        velocity_correlations: of each replica, of the reference, or None each.
        diffusion, reference_diffusion: of a liquid, or None.
        evaluation: the replicas themselves.
        seconds: that it took.
    """

    name: str
    survival: Survival
    errors: FrameErrors
    comparisons: dict[str, Comparison]
    velocity_correlations: numpy.ndarray | None
    reference_correlation: numpy.ndarray | None
    diffusion: Diffusion | None
    reference_diffusion: Diffusion | None
    evaluation: Evaluation
    seconds: float


def collect_metrics(findings: Findings) -> dict[str, typing.Any]:
    """What final_metrics.json holds: means and standard deviations over replicas, and of all stable frames together."""
    survival = findings.survival
    metrics: dict[str, typing.Any] = {
        "Energy MAE": findings.errors.energy_mae,
        "Energy RMSE": findings.errors.energy_rmse,
        "Force MAE": findings.errors.force_mae,
        "Force RMSE": findings.errors.force_rmse,
        "Mean Stability (ps)": survival.mean_stable_time,
        "Std Dev Stability (ps)": survival.deviation,
        "Mean Time To Failure (ps)": _finite(survival.mean_time_to_failure),
        "Mean Time To Failure 95 % (ps)": [survival.low, _finite(survival.high)],
        "Failures": survival.n_failures,
        "Replicas": survival.n_replicas,
        "Total Time (ps)": survival.total_time,
        "Horizon (ps)": survival.horizon,
        "Share That Survived": survival.survived,
    }
    for name, comparison in findings.comparisons.items():
        label = NAMES.get(name, name)
        metrics |= _describe(label, comparison.errors)
        metrics[f"{label} MAE, all frames"] = comparison.error
        metrics[f"{label} MAE, scatter of the reference"] = comparison.scatter
    errors = correlation_errors(findings)
    if errors is not None:
        metrics |= _describe("VACF", errors)
    if findings.diffusion is not None and findings.reference_diffusion is not None:
        known = findings.diffusion.diffusivities[numpy.isfinite(findings.diffusion.diffusivities)]
        reference = float(findings.reference_diffusion.diffusivities.mean())
        metrics["Diffusivity (1e-9 m2/s)"] = float(known.mean()) if len(known) else None
        metrics["Diffusivity, reference (1e-9 m2/s)"] = reference
        metrics["Diffusivity MAE (1e-9 m2/s)"] = float(abs(known - reference).mean()) if len(known) else None
    metrics["Seconds"] = findings.seconds
    return metrics


def correlation_errors(findings: Findings) -> numpy.ndarray | None:
    """The mean absolute error of each replica's velocity autocorrelation; None where nothing is compared."""
    own, reference = findings.velocity_correlations, findings.reference_correlation
    return None if own is None or reference is None else abs(own - reference).mean(1)


def _describe(label: str, errors: numpy.ndarray) -> dict[str, float | None]:
    known = errors[numpy.isfinite(errors)]
    return {
        f"Mean {label} MAE": float(known.mean()) if len(known) else None,
        f"Std Dev {label} MAE": float(known.std(ddof=1)) if len(known) > 1 else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_findings(
    folder: pathlib.Path, findings: Findings, system: System, frame_interval: float, n_trajectories: int
) -> None:
    """Writes everything of one candidate.

    Args:
        folder: of the candidate.
        findings: what is known.
        system: for the trajectories.
        frame_interval: [ps] between frames.
        n_trajectories: of replicas that are written as extended XYZ, those that failed first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "replicas_stable_time": findings.evaluation.times,
        "replicas_failed": findings.evaluation.has_failed,
        "full_traj": arrange(findings.evaluation, len(findings.evaluation.times)),
    }
    for name, comparison in findings.comparisons.items():
        arrays[f"final_{name}s"] = comparison.by_replica
        arrays[f"final_{name}_maes"] = comparison.errors
        arrays[f"gt_{name}"] = comparison.target
    if findings.velocity_correlations is not None:
        arrays["final_vacfs"] = findings.velocity_correlations
    if findings.reference_correlation is not None:
        arrays["gt_vacf"] = findings.reference_correlation
    errors = correlation_errors(findings)
    if errors is not None:
        arrays["final_vacf_maes"] = errors
    if findings.diffusion is not None:
        arrays["all_msds"], arrays["all_diffusivities"] = findings.diffusion
    if findings.reference_diffusion is not None:
        arrays["gt_msd"] = findings.reference_diffusion.displacements.mean(0)
        arrays["gt_diffusivity"] = findings.reference_diffusion.diffusivities
    for name, array in arrays.items():
        with replace_atomically(folder / f"{name}.npy") as beside, beside.open("wb") as file:
            numpy.save(file, array)
    write_trajectories(folder / "trajectories", findings.evaluation, system, frame_interval, n_trajectories)
    write_json(folder / METRICS, collect_metrics(findings))


def arrange(evaluation: Evaluation, n_replicas: int) -> numpy.ndarray:
    """All frames as ``shape=(n_times, n_replicas, n_atoms, 3)`` [Angstrom]; NaN from a failure on."""
    frames, n_times = evaluation.frames, evaluation.n_steps // evaluation.frame_interval
    result = numpy.full((n_times, n_replicas, *frames.coords.shape[1:]), numpy.nan, dtype=numpy.float32)
    rows = frames.steps.numpy() // evaluation.frame_interval - 1
    result[rows, frames.replicas.numpy()] = frames.coords.cpu().numpy()
    return result


def write_trajectories(
    folder: pathlib.Path, evaluation: Evaluation, system: System, frame_interval: float, n_trajectories: int
) -> None:
    """Extended XYZ of some replicas, those that failed first; where one was last seen is its last frame."""
    folder.mkdir(parents=True, exist_ok=True)
    order = numpy.argsort(numpy.where(evaluation.has_failed, evaluation.times, math.inf), kind="stable")
    cell = None if system.cell is None else system.cell.numpy()
    for replica in order[:n_trajectories].tolist():
        own = evaluation.frames.replicas == replica
        frames = [
            ase.Atoms(system.atomic_nums.numpy(), coords, cell=cell, pbc=cell is not None, info={"time_ps": time})
            for coords, time in zip(
                [*evaluation.frames.coords[own].cpu().numpy(), evaluation.last[replica].numpy()],
                [*((k + 1) * frame_interval for k in range(int(own.sum()))), float(evaluation.times[replica])],
                strict=True,
            )
        ]
        with replace_atomically(folder / f"replica-{replica:03d}.xyz") as beside:
            ase.io.write(beside, frames, format="extxyz")
