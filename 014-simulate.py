"""Simulate potentials side by side and see how long each holds: independent replicas until their first failure.

Reads   a reference of 011-sample-reference.py, and potentials: runs of 012-pretrain.py and 013-stabilize.py, points on
        the way of a run, neural potentials and force fields as .pt
Writes  outputs/simulations/<timestamp>/    report.html (read this), survival.svg, metrics.json, and for each potential
                                            a folder with final_metrics.json, .npy arrays, trajectories/ as extended XYZ

    python 014-simulate.py --reference outputs/reference/CCO pre outputs/stable/<run> outputs/stable/<control>
    python 014-simulate.py --reference outputs/reference/CCO outputs/stable/<run>@cycle1 outputs/potentials/<run>
    python 014-simulate.py --reference outputs/reference/CCO outputs/openff-2.1.0.pt --horizon 50

Replicas start from frames that are held out of the reference and are never sent back. Candidates share starts,
velocities and noise, replica by replica. 64 replicas of ethanol and 20 ps take 20 s.
"""

import collections.abc
import dataclasses
import pathlib
import time
import typing

import torch
import tyro

from common.data.trajectories import join_frames
from common.files.artifacts import MissingArtifactError
from common.files.plain import write_json
from common.potentials.file import load_potential
from common.processes.devices import check_device
from common.processes.stage import run_stage
from common.replicas.candidates import Candidate, find_candidates
from common.replicas.comparisons import (
    compare,
    compute_frame_errors,
    correlate_reference_velocities,
    correlate_velocities,
    diffuse,
    diffuse_reference,
)
from common.replicas.evaluation import PICOSECOND, EvaluationSettings, evaluate
from common.replicas.evaluation_files import Findings, collect_metrics, write_findings
from common.replicas.reference import Reference, load_reference
from common.replicas.report import SURVIVAL, describe, draw_survival, format_time, render_report
from common.replicas.setup import (
    DeviationSettings,
    MotionSettings,
    ObservableSettings,
    make_deviations,
    make_observable,
)
from common.replicas.survival import summarise_survival
from common.reporting.console import point_to_report
from common.reporting.numbers import format_number
from common.runs.folder import create_run_folder, write_config
from common.runs.options import read_settings
from common.runs.settings import (
    AtLeastOne,
    Contents,
    Fraction,
    Machine,
    NonNegative,
    Positive,
    StageSettings,
)

OUTPUTS = pathlib.Path("outputs")
REPORT = "report.html"
N_TEST_FRAMES = 1000
"""Held-out frames for the errors of energies and forces, at most, evenly chosen."""


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """Whose replicas, how many, how long."""

    potentials: tyro.conf.Positional[tuple[str, ...]] = ()  # RUN, RUN@cycle2, RUN@cycle2-epoch3, pre, FILE.pt

    n_replicas: AtLeastOne[int] = 64  # of each potential
    horizon: Positive[float] = 20.0  # [ps] after which observation ends
    seed: NonNegative[int] = 9000  # of starts, velocities and noise; another than any of training
    integrator: typing.Literal["langevin", "nose-hoover"] = "langevin"  # how replicas move
    time_step: Positive[float] = 1.0  # [fs]
    temperature: Positive[float] | None = None  # [K]; None: the reference's
    friction: NonNegative[float] = 0.01  # [1/fs] of langevin
    relaxation_time: Positive[float] = 20.0  # [fs] of nose-hoover
    check_interval: AtLeastOne[int] = 20  # [steps] between two looks for failures
    frame_interval: AtLeastOne[int] = 200  # [steps] between two frames that are kept

    bond_tolerance: Positive[float] | None = 0.25  # [Angstrom] of any bond from its mean
    contact_tolerance: Positive[float] | None = None  # [Angstrom] smallest distance between molecules; liquids: 1.2

    observables: tuple[str, ...] = ("rdf", "adf")  # compared; liquids: rdf-8-8 rdf-1-1 rdf-8-1 adf
    velocity_window: NonNegative[int] = 100  # frames of the reference, of the velocity autocorrelation; 0: none
    displacement_window: NonNegative[int] = 0  # frames kept, of mean squared displacements; liquids: e.g. 50
    rdf_step: Positive[float] = 0.02  # [Angstrom] bins
    rdf_width: Positive[float] = 0.01  # [Angstrom] of the Gaussians
    rdf_largest: Positive[float] = 10.0  # [Angstrom] distance; liquids: half the box
    angle_width: Positive[float] = 1.0  # [degree] of the Gaussians

    reference: Contents[pathlib.Path] = OUTPUTS / "reference" / "CCO"  # a data set of 011
    held_out_share: Fraction[float] = 0.5  # of each run of the reference; replicas start from it
    n_trajectories: Machine[NonNegative[int]] = 4  # replicas written as extended XYZ, those that failed first
    output: Machine[pathlib.Path] = OUTPUTS / "simulations"  # folder of evaluations
    device: Machine[str] = "cpu"  # "cuda" where there is a GPU

    def check(self) -> None:
        check_device(self.device)
        if self.frame_interval % self.check_interval:
            raise ValueError(
                f"frame_interval = {self.frame_interval} is no multiple of check_interval = {self.check_interval}"
            )


def choose_motion(settings: Settings, reference: Reference) -> MotionSettings:
    """How replicas move.

    Raises:
        ValueError: no temperature is known.
    """
    temperature = settings.temperature or reference.temperature
    if temperature is None:
        raise ValueError(f"{settings.reference}: does not say at which temperature it was made; give --temperature")
    return MotionSettings(
        settings.integrator, settings.time_step, temperature, settings.friction, settings.relaxation_time
    )


def choose_velocity_interval(settings: Settings, reference: Reference) -> int:
    """Steps between two frames of the reference, at which velocities are correlated; 0 for no correlation.

    Raises:
        ValueError: the reference cannot tell.
    """
    if not settings.velocity_window:
        return 0
    interval = reference.known[0].frame_interval
    if interval is None or reference.known[0].velocities is None:
        what = "has no velocities" if reference.known[0].velocities is None else "has frames in no order of time"
        raise ValueError(
            f"{settings.reference}: {what}, so there is no velocity autocorrelation; leave it out with "
            "--velocity-window 0"
        )
    steps = round(interval / settings.time_step)
    if steps < 1 or abs(steps * settings.time_step - interval) > 1e-6 * interval:
        raise ValueError(
            f"{settings.reference}: has a frame each {interval:g} fs, which is no multiple of --time-step "
            f"{settings.time_step:g} fs; choose another, or leave velocities out with --velocity-window 0"
        )
    return steps


def examine(
    candidate: Candidate, settings: Settings, reference: Reference, motion: MotionSettings, velocity_interval: int
) -> Findings:
    """Everything about one candidate."""
    start = time.perf_counter()
    system = reference.system
    potential = load_potential(
        candidate.path, system.smiles, system.atomic_nums, system.cell, torch.float32, settings.device
    )
    deviations = make_deviations(reference, DeviationSettings(settings.bond_tolerance, 1.0, settings.contact_tolerance))
    plan = EvaluationSettings(
        settings.seed,
        settings.n_replicas,
        settings.horizon,
        settings.check_interval,
        settings.frame_interval,
        settings.velocity_window,
        velocity_interval,
        settings.displacement_window,
    )
    evaluation = evaluate(potential, reference, deviations, motion, plan)
    observables = make_observables(settings, reference)
    held_out = join_frames(reference.held_out)
    chosen = torch.linspace(0, held_out.n_confs - 1, min(N_TEST_FRAMES, held_out.n_confs)).round().long().numpy()
    interval = settings.frame_interval * settings.time_step
    window = settings.displacement_window
    velocities = correlate_velocities(evaluation, settings.n_replicas, settings.velocity_window)
    return Findings(
        name=candidate.name,
        survival=summarise_survival(evaluation.times, evaluation.has_failed, settings.horizon),
        errors=compute_frame_errors(potential, held_out.select(chosen)),
        comparisons={
            name: compare(observable, evaluation, reference, settings.n_replicas)
            for name, observable in observables.items()
        },
        velocity_correlations=velocities if velocity_interval else None,
        reference_correlation=correlate_reference_velocities(reference, settings.velocity_window)
        if velocity_interval
        else None,
        diffusion=diffuse(evaluation, settings.n_replicas, system.masses, window, interval) if window else None,
        reference_diffusion=diffuse_reference(reference, window, interval) if window else None,
        evaluation=evaluation,
        seconds=time.perf_counter() - start,
    )


def make_observables(settings: Settings, reference: Reference) -> dict:
    """What is compared, by name."""
    bins = ObservableSettings(settings.rdf_step, settings.rdf_width, settings.rdf_largest, settings.angle_width)
    return {name: make_observable(name, reference, [], bins) for name in settings.observables}


def print_table(findings: list[Findings]) -> None:
    """The candidates, one line each."""
    width = max(len(one.name) for one in findings) + 2
    heads = {name: f"{name} MAE" for name in findings[0].comparisons}
    head = "".join(f"{words:>{len(words) + 4}}" for words in heads.values())
    life = f"{'failures':>9}{'MTTF [ps]':>11}{'95 % interval':>20}{'alive':>7}"
    print(f"{'':{width}}{life}{'energy MAE':>12}{'force MAE':>11}{head}")
    for one in findings:
        survival = one.survival
        interval = f"{format_time(survival.low)} to {format_time(survival.high)}"
        errors = _align(heads, {name: comparison.error for name, comparison in one.comparisons.items()})
        print(
            f"{one.name:{width}}{survival.n_failures:9}{format_time(survival.mean_time_to_failure):>11}{interval:>20}"
            f"{survival.survived:7.0%}{one.errors.energy_mae:12.3f}{one.errors.force_mae:11.3f}{errors}"
        )
    scatter = _align(heads, {name: comparison.scatter for name, comparison in findings[0].comparisons.items()})
    print(f"{'scatter of the reference':{width + 70}}{scatter}")


def _align(heads: dict[str, str], values: collections.abc.Mapping[str, float | None]) -> str:
    return "".join(f"{format_number(values[name]):>{len(words) + 4}}" for name, words in heads.items())


def main() -> None:
    settings = read_settings(Settings)
    candidates = find_candidates(settings.potentials)
    if not (settings.reference / "state.json").is_file():
        raise MissingArtifactError(f"{settings.reference}: no reference here", "reference")
    reference = load_reference(settings.reference, settings.held_out_share)
    motion = choose_motion(settings, reference)
    velocity_interval = choose_velocity_interval(settings, reference)
    make_observables(settings, reference)  # faults show before any work
    system = reference.system
    for candidate in candidates:
        load_potential(candidate.path, system.smiles, system.atomic_nums, system.cell)
    findings = []
    for candidate in candidates:
        findings.append(examine(candidate, settings, reference, motion, velocity_interval))
        print(
            f"{candidate.name}: {findings[-1].survival.n_failures} of {settings.n_replicas} replicas failed", flush=True
        )
    folder = create_run_folder(settings.output, "simulations")
    write_config(folder, settings)
    for one in findings:
        frame_interval = settings.frame_interval * settings.time_step / PICOSECOND
        write_findings(folder / one.name, one, system, frame_interval, settings.n_trajectories)
    deviations = DeviationSettings(settings.bond_tolerance, 1.0, settings.contact_tolerance)
    page = render_report(
        findings,
        reference,
        make_observables(settings, reference),
        deviations,
        motion,
        velocity_interval * settings.time_step,
    )
    (folder / REPORT).write_text(page)
    (folder / SURVIVAL).write_bytes(draw_survival(findings))
    write_json(folder / "metrics.json", {one.name: collect_metrics(one) for one in findings})
    print_table(findings)
    print(describe(findings))
    print(point_to_report(folder / REPORT))


if __name__ == "__main__":
    run_stage(main)
