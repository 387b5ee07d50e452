"""A run of stability training by any number of processes: epoch after epoch, with checkpoints, logs and potentials."""

import collections.abc
import dataclasses
import json
import pathlib
import typing

from common.files.plain import write_json, write_table
from common.processes.ranks import Ranks
from common.replicas.survival import compute_interval
from common.runs.checkpoints import Checkpoint, save_checkpoint
from common.runs.folder import SUMMARY
from common.runs.tensorboard import Log
from common.stability.cycle import Cycle
from common.stability.learning import Optimizer, PoolGradient
from common.stability.run_state import LEARNING, SIMULATION, Report, RunState, describe, from_plain, to_plain

HISTORY = "history.json"
"""Within the folder of a run: one row an epoch."""

SaveModel = collections.abc.Callable[[pathlib.Path], None]
"""Writes the potential, or force field, with the parameters as they are, under a name without suffix."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run goes on: its state, and the rows of its history."""

    state: RunState
    history: list[dict[str, typing.Any]]


def read_progress(checkpoint: Checkpoint) -> Progress:
    """What the checkpoint of an interrupted run says."""
    return Progress(from_plain(checkpoint.state["run"]), list(checkpoint.state["history"]))


def run_cycles(
    ranks: Ranks,
    cycle: Cycle,
    progress: Progress,
    folder: pathlib.Path,
    fingerprint: str,
    picoseconds_per_step: float,
    save_model: SaveModel,
) -> RunState:
    """Runs until the end; the first rank writes.

    Args:
        ranks: who shares the work.
        cycle: the parts.
        progress: where it begins.
        folder: of the run.
        fingerprint: of all that determines the result.
        picoseconds_per_step: of the integrator.
        save_model: writes what was learnt.

    Raises:
        ValueError: all replicas failed in the first epoch.
    """
    state, history = progress.state, progress.history
    log = Log(folder, len(history)) if ranks.rank == 0 else None
    while not state.outcome:
        before = state
        state, report = cycle.run_epoch(state)
        history = [*history, describe(report)]
        if before.n_epochs == 0 and report.phase == SIMULATION and report.n_failed == report.n_simulated:
            raise ValueError(
                f"all {report.n_failed} replicas failed in the first epoch of "
                f"{cycle.epoch_settings.n_steps * picoseconds_per_step:g} ps: pretrain longer or on more frames, or "
                "make epochs shorter (--epoch-duration)"
            )
        if log is None:
            continue
        _save_models(before, state, folder, save_model)
        write_json(folder / HISTORY, history)
        save_checkpoint(folder, Checkpoint(len(history), {"run": to_plain(state), "history": history}, fingerprint))
        log.add_scalars(len(history), _list_scalars(report, picoseconds_per_step))
        print(format_report(report, picoseconds_per_step), flush=True)
    if log is not None:
        log.close()
        cycle.restore(state)
        save_model(folder / "potential")
        write_table(folder / "history.csv", [{**row, "losses": json.dumps(row["losses"])} for row in history])
        write_json(folder / SUMMARY, _summarise(state, history))
    return state


def run_control(cycle: Cycle, rows: list[dict[str, typing.Any]], folder: pathlib.Path, save_model: SaveModel) -> None:
    """The steps of another run, row by row of its history, on the quantum loss alone; nothing is simulated."""
    settings = cycle.settings
    gradient = PoolGradient(
        cycle.model, [], {}, cycle.temperature, settings.n_blocks, settings.quantum_weight, cycle.ranks
    )
    n_steps, optimizer, of_cycle = 0, None, 0
    for row in rows:
        if row["phase"] != LEARNING or not row["n_steps"]:
            continue
        if optimizer is None or row["cycle"] != of_cycle:  # as there, its memory is new in each cycle
            optimizer = Optimizer(cycle.model, settings.optimizer, row["learning_rate"], settings.clipping)
            of_cycle = row["cycle"]
        optimizer.set_learning_rate(row["learning_rate"])
        for _ in range(row["n_steps"]):
            optimizer.move(gradient.compute((settings.seed, "control", n_steps)).gradient)
            n_steps += 1
        cycle.model.restrain()
    if cycle.ranks.rank == 0:
        save_model(folder / "potential")
        write_json(folder / SUMMARY, {"outcome": "control", "n_steps": n_steps})


def _save_models(before: RunState, state: RunState, folder: pathlib.Path, save_model: SaveModel) -> None:
    """After an epoch of learning its model; at the end of a cycle that of the cycle, too."""
    if before.phase != LEARNING:
        return
    save_model(folder / "potentials" / f"cycle{before.cycle}-epoch{before.epoch}")
    if state.cycle != before.cycle or state.outcome:
        save_model(folder / "potentials" / f"cycle{before.cycle}")


def _list_scalars(report: Report, picoseconds_per_step: float) -> dict[str, float]:
    scalars = {f"unstable share/{report.phase}": report.unstable_share}
    if report.phase == SIMULATION:
        scalars["simulated/mean time to failure [ps]"] = (
            report.stable_steps * picoseconds_per_step / max(1, report.n_failures)
        )
    if report.steps:
        first, last = report.steps[0], report.steps[-1]
        scalars |= {
            "loss/observables": first.observable_loss,
            "loss/quantum": last.quantum_loss,
            "learning rate": report.learning_rate,
            "frames/in the pool": report.n_frames,
            "frames/effective, first step": first.n_effective,
            "frames/effective, last step": last.n_effective,
            "gradient/observables": first.observable_norm,
            "gradient/quantum": first.quantum_norm,
            "gradient/cosine": first.cosine,
            "gradient/observables over its error": first.significance,
            **{f"observable loss/{name}": value for name, value in first.losses.items()},
        }
    return scalars


def format_report(report: Report, picoseconds_per_step: float) -> str:
    """A line for the console."""
    head = f"cycle {report.cycle}, {report.phase} {report.epoch}: {report.n_failed} of {report.n_simulated} failed"
    if report.phase == SIMULATION:
        time = report.stable_steps * picoseconds_per_step
        low, high = compute_interval(report.n_failures, time)
        mean = f"{time / report.n_failures:.1f}" if report.n_failures else "∞"
        return f"{head}, {report.unstable_share:.0%} parked; mean time to failure {mean} ps [{low:.1f}, {high:.1f}]"
    if not report.steps:
        return head
    first, last = report.steps[0], report.steps[-1]
    return (
        f"{head}; observables {first.observable_loss:.3f} -> {last.observable_loss:.3f}, quantum "
        f"{first.quantum_loss:.2f} -> {last.quantum_loss:.2f} in {len(report.steps)} steps on {report.n_frames} frames "
        f"(effective {first.n_effective:.0f} -> {last.n_effective:.0f}); cosine {first.cosine:+.2f}"
    )


def _summarise(state: RunState, history: list[dict[str, typing.Any]]) -> dict[str, typing.Any]:
    learning = [row for row in history if row["phase"] == LEARNING]
    return {
        "outcome": state.outcome,
        "n_cycles": state.cycle,
        "n_epochs": len(history),
        "n_learning_epochs": len(learning),
        "n_steps": sum(row["n_steps"] for row in learning),
        "unstable_share": history[-1]["unstable_share"],
    }
