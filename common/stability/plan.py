"""A run of stability training as plain settings: what each rank builds its parts of, and runs."""

import collections.abc
import dataclasses
import functools
import pathlib
import typing

import torch

from common.data.dataset import Entry
from common.data.trajectories import join_frames
from common.fitting.outputs import save_force_field
from common.forcefields.parameter_file import load_parameters
from common.forcefields.trainable import Column, build_trainable
from common.neural.frames import FrameSet
from common.potentials.file import NetworkFile, is_network_file, load_network, save_network
from common.potentials.neural import NeuralPotential
from common.potentials.pretraining import number_frames
from common.processes.ranks import Ranks
from common.replicas.epochs import EpochSettings
from common.replicas.reference import Reference, load_reference
from common.replicas.setup import (
    DeviationSettings,
    MotionSettings,
    ObservableSettings,
    draw_starts,
    make_deviations,
    make_integrator,
)
from common.runs.checkpoints import Checkpoint
from common.stability.cycle import Cycle, CycleSettings
from common.stability.force_field_model import ForceFieldModel, Limits, collect_widths
from common.stability.learning import EnergyModel
from common.stability.network_model import NetworkModel
from common.stability.stabilization import Progress, SaveModel, read_progress, run_control, run_cycles
from common.stability.targets import make_targets

PICOSECOND = 1000.0
"""[fs]"""


@dataclasses.dataclass(frozen=True)
class ForceFieldSettings:
    """How a force field is trained.

    Attributes:
        trained: by type and column.
        prior_strength: of the mean squared move in units of the priors' widths.
        n_quantum_frames: of the reference's known part, evenly chosen.
        limits: of the errors on them.
    """

    trained: dict[str, dict[str, Column]]
    prior_strength: float
    n_quantum_frames: int
    limits: Limits


@dataclasses.dataclass(frozen=True)
class Parts:
    """What is learnt, how it moves replicas, how it is written."""

    model: EnergyModel
    freeze: collections.abc.Callable
    dtype: torch.dtype
    save: SaveModel


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a rank needs to know.

    Attributes:
        folder: of the run.
        reference, potential: files.
        held_out_share: of the reference.
        cycle, epoch, motion, deviations, observables: see there.
        weights: of the observables' losses, by name.
        shares: of squared errors of energies and of force components in the quantum loss.
        quantum_batch: training frames in a step of a network.
        is_localized: whether molecules are reweighted for themselves.
        force_field: how a force field is trained.
        control: rows of the history of another run, whose steps are made without observables; None for none.
        fingerprint: of all that determines the result.
        checkpoint: where an interrupted run goes on, or None.
        device: of a network.
    """

    folder: pathlib.Path
    reference: pathlib.Path
    potential: pathlib.Path
    held_out_share: float
    cycle: CycleSettings
    epoch: EpochSettings
    motion: MotionSettings
    deviations: DeviationSettings
    observables: ObservableSettings
    weights: dict[str, float]
    shares: tuple[float, float]
    quantum_batch: int
    is_localized: bool
    force_field: ForceFieldSettings
    control: list[dict[str, typing.Any]] | None
    fingerprint: str
    checkpoint: Checkpoint | None
    device: str

    def check(self) -> None:
        """Builds everything once, to see whether it fits together.

        Raises:
            FileNotFoundError, ValueError: it does not; the message says what is wrong.
        """
        self.build(Ranks(0, 1))

    def build(self, ranks: Ranks) -> tuple[Cycle, Parts, Reference]:
        """The parts of a rank."""
        reference = load_reference(self.reference, self.held_out_share)
        parts = (
            self._build_network(reference) if is_network_file(self.potential) else self._build_force_field(reference)
        )
        deviations = make_deviations(reference, self.deviations)
        masses = reference.system.masses.to(self.device, parts.dtype)
        cycle = Cycle(
            self.cycle,
            self.epoch,
            make_integrator(self.motion, masses),
            parts.freeze,
            parts.model,
            deviations,
            make_targets(self.weights, reference, deviations, self.observables),
            self.motion.temperature,
            self.is_localized,
            ranks,
        )
        return cycle, parts, reference

    def _build_network(self, reference: Reference) -> Parts:
        contents = load_network(self.potential)
        smiles = reference.system.smiles
        trajectories = list(reference.known)
        split = contents.provenance.get("split", {})
        of_same = contents.provenance.get("reference_fingerprint") == reference.fingerprint
        missing = set(reference.system.atomic_nums.tolist()) - set(contents.reference_energies)
        if missing:
            raise ValueError(
                f"{self.potential}: knows no element {min(missing)}, which {self.reference} ({smiles}) has; pretrain a "
                "potential on this reference"
            )
        if not of_same or not split.get("train"):
            raise ValueError(
                f"{self.potential}: was not trained on {self.reference} ({smiles}) but on "
                f"{contents.provenance.get('reference', 'something else')}; its training frames are needed beside the "
                "observables: pretrain a potential on this reference"
            )
        frames = FrameSet(trajectories, contents.reference_energies, torch.float32, self.device)
        cuts = [trajectory.n_frames for trajectory in trajectories]
        beyond = [frame for row, frame in split["train"] if frame >= cuts[row]]
        if beyond:
            raise ValueError(
                f"{self.potential}: was trained on frames that --held-out-share {self.held_out_share:g} holds out; "
                f"give the share that it was pretrained with, {contents.provenance.get('held_out_share')}"
            )
        batch = frames.select(number_frames(trajectories, {"train": split["train"]})["train"])
        n_frames = len(batch.energies)
        network = contents.network.to(self.device)
        potential = NeuralPotential(network, reference.system.atomic_nums, reference.system.cell)
        model = NetworkModel(
            potential,
            batch.coords.reshape(n_frames, -1, 3),
            batch.energies,
            batch.forces.reshape(n_frames, -1, 3),
            self.shares,
            self.quantum_batch,
            reference.system.molecule_idxs if self.is_localized else None,
        )
        return Parts(model, potential.freeze, torch.float32, functools.partial(_save_network, contents))

    def _build_force_field(self, reference: Reference) -> Parts:
        molecules = load_parameters(self.potential)
        smiles = reference.system.smiles
        if smiles not in molecules.topologies:
            raise ValueError(
                f"{self.potential}: holds no parameters for {smiles} of {self.reference}; apply the force field to it"
            )
        if reference.system.cell is not None:
            raise ValueError(f"{self.potential}: a force field is simulated in the gas phase, the reference has a box")
        settings = self.force_field
        known_types = molecules.force_field.potentials_by_type
        trained = {type_: columns for type_, columns in settings.trained.items() if type_ in known_types}
        trainable = build_trainable(molecules.force_field, trained)
        model = ForceFieldModel(
            molecules,
            smiles,
            trainable,
            collect_widths(trainable, trained),
            choose_evenly(join_frames(reference.known), settings.n_quantum_frames),
            self.shares,
            settings.prior_strength,
            settings.limits,
        )
        comments = [
            f"refined by observables of simulations of {smiles}",
            f"from {molecules.provenance['force_field']} (SHA-256 {molecules.provenance['force_field_sha256']})",
        ]

        def save(path: pathlib.Path) -> None:
            with torch.no_grad():
                path.parent.mkdir(parents=True, exist_ok=True)
                save_force_field(path, model.make_force_field(), molecules, comments)

        return Parts(model, model.freeze, torch.float64, save)


def _save_network(contents: NetworkFile, path: pathlib.Path) -> None:
    save_network(path.with_name(f"{path.name}.pt"), contents)


def choose_evenly(entry: Entry, n_frames: int) -> Entry:
    """At most so many frames of an entry, evenly spaced."""
    if entry.n_confs <= n_frames:
        return entry
    return entry.select(torch.linspace(0, entry.n_confs - 1, n_frames).round().to(torch.int64).numpy())


def run_plan(ranks: Ranks, plan: Plan) -> None:
    """Runs to the end."""
    cycle, parts, reference = plan.build(ranks)
    if plan.control is not None:
        run_control(cycle, plan.control, plan.folder, parts.save)
        return
    if plan.checkpoint is None:
        masses = reference.system.masses.to(plan.device, parts.dtype)
        starts = draw_starts(
            reference, False, plan.cycle.n_replicas, plan.motion.temperature, (plan.cycle.seed, "training"), masses
        )
        progress = Progress(cycle.begin(*starts), [])
    else:
        progress = read_progress(plan.checkpoint)
    run_cycles(ranks, cycle, progress, plan.folder, plan.fingerprint, plan.motion.time_step / PICOSECOND, parts.save)
