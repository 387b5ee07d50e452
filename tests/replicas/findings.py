"""A small evaluation that several test files share."""

import dataclasses

from common.data.trajectories import join_frames
from common.potentials.file import load_potential
from common.potentials.potential import Potential
from common.replicas.comparisons import (
    compare,
    compute_frame_errors,
    correlate_reference_velocities,
    correlate_velocities,
    diffuse,
    diffuse_reference,
)
from common.replicas.evaluation import EvaluationSettings, evaluate
from common.replicas.evaluation_files import Findings
from common.replicas.reference import Reference
from common.replicas.setup import (
    DeviationSettings,
    MotionSettings,
    ObservableSettings,
    make_deviations,
    make_observable,
)
from common.replicas.survival import summarise_survival

SETTINGS = EvaluationSettings(3, 6, 0.06, 4, 20, 4, 10, 2)
MOTION = MotionSettings("langevin", 0.5, 300.0)
DEVIATIONS = DeviationSettings(bond_tolerance=0.6)


def make_observables(reference: Reference) -> dict:
    return {name: make_observable(name, reference, [], ObservableSettings()) for name in ("rdf", "adf")}


def load(reference: Reference, path) -> Potential:
    return load_potential(path, reference.system.smiles, reference.system.atomic_nums)


def make_findings(reference: Reference, path, name: str = "made-up", **changes) -> Findings:
    potential = load(reference, path)
    settings = dataclasses.replace(SETTINGS, **changes)
    evaluation = evaluate(potential, reference, make_deviations(reference, DEVIATIONS), MOTION, settings)
    n = settings.n_replicas
    return Findings(
        name=name,
        survival=summarise_survival(evaluation.times, evaluation.has_failed, settings.horizon),
        errors=compute_frame_errors(potential, join_frames(reference.held_out)),
        comparisons={
            key: compare(observable, evaluation, reference, n)
            for key, observable in make_observables(reference).items()
        },
        velocity_correlations=correlate_velocities(evaluation, n, settings.velocity_window),
        reference_correlation=correlate_reference_velocities(reference, settings.velocity_window),
        diffusion=diffuse(evaluation, n, reference.system.masses, 2, 10.0),
        reference_diffusion=diffuse_reference(reference, 2, 10.0),
        evaluation=evaluation,
        seconds=1.0,
    )
