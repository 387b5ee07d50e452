"""What one epoch of a run hands to the next, and what it reports; both as plain values for checkpoints and logs."""

import dataclasses
import typing

import torch

from common.stability.learning import Step
from common.stability.pool import PoolEpoch

SIMULATION, LEARNING = "simulation", "learning"


@dataclasses.dataclass(frozen=True)
class RunState:
    """What one epoch hands to the next.

    Attributes:
        cycle: from 1.
        phase: of the next epoch, ``SIMULATION`` or ``LEARNING``.
        epoch: of the next epoch within its phase, from 1.
        n_epochs: done in all; names the noise of the next.
        parameters: of the model.
        optimizer: its state.
        n_decays: of the learning rate in this phase.
        best_share, n_bad_epochs: the smallest share of failures in this phase, and epochs since.
        n_calm_epochs: of learning in a row, so far, in which hardly a replica failed.
        coords, velocities, thermostat: where each replica starts the next epoch.
        is_parked: who failed while simulating.
        stable_steps: of each replica in this cycle's simulation, up to its first failure.
        earlier: starts of earlier epochs, coordinates and velocities and thermostats.
        pool: the frames that are learnt from.
        outcome: "" while the run goes on; else why it ended.
    """

    cycle: int
    phase: str
    epoch: int
    n_epochs: int
    parameters: list[torch.Tensor]
    optimizer: dict[str, typing.Any]
    n_decays: int
    best_share: float
    n_bad_epochs: int
    n_calm_epochs: int
    coords: torch.Tensor
    velocities: torch.Tensor
    thermostat: torch.Tensor
    is_parked: torch.Tensor
    stable_steps: torch.Tensor
    earlier: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    pool: list[PoolEpoch]
    outcome: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """What an epoch did, for logs.

    Attributes:
        cycle, phase, epoch: which one.
        n_simulated, n_failed: replicas.
        unstable_share: of all replicas, those parked so far (simulation) or failed in this epoch (learning).
        causes: how often each deviation was the first to be seen.
        steps: what learning found, first to last.
        learning_rate: of the optimiser; 0 while simulating.
        n_frames: in the pool.
        stable_steps, n_failures: of the replicas in this cycle's simulation so far.
    """

    cycle: int
    phase: str
    epoch: int
    n_simulated: int
    n_failed: int
    unstable_share: float
    causes: dict[str, int]
    steps: tuple[Step, ...]
    learning_rate: float
    n_frames: int
    stable_steps: int
    n_failures: int


def to_plain(state: RunState) -> dict[str, typing.Any]:
    """Dicts, lists, tensors and numbers."""
    plain = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    plain["earlier"] = [list(one) for one in state.earlier]
    plain["pool"] = [{field.name: getattr(one, field.name) for field in dataclasses.fields(one)} for one in state.pool]
    return plain


def from_plain(plain: dict[str, typing.Any]) -> RunState:
    """What :func:`to_plain` was given."""
    earlier = [tuple(one) for one in plain["earlier"]]
    return RunState(**{**plain, "earlier": earlier, "pool": [PoolEpoch(**one) for one in plain["pool"]]})


_COUNTS = ("cycle", "phase", "epoch", "n_simulated", "n_failed", "unstable_share", "stable_steps", "n_failures")
_OF_FIRST_STEP = (
    "observable_loss",
    "quantum_loss",
    "n_effective",
    "observable_norm",
    "quantum_norm",
    "cosine",
    "significance",
)
_OF_LAST_STEP = ("observable_loss", "quantum_loss", "n_effective")


def describe(report: Report) -> dict[str, typing.Any]:
    """A report as a plain row: of the steps of learning what the first found, and some of what the last did."""
    row = {name: getattr(report, name) for name in _COUNTS}
    row["causes"] = " ".join(f"{name}:{count}" for name, count in report.causes.items())
    row |= {"learning_rate": report.learning_rate, "n_frames": report.n_frames, "n_steps": len(report.steps)}
    first, last = (report.steps[0], report.steps[-1]) if report.steps else (None, None)
    row |= {name: None if first is None else getattr(first, name) for name in _OF_FIRST_STEP}
    row |= {f"last_{name}": None if last is None else getattr(last, name) for name in _OF_LAST_STEP}
    return row | {"losses": {} if first is None else dict(first.losses)}
