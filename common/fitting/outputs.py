"""What a fit writes into its run folder: force fields, losses, the summary."""

import collections.abc
import pathlib
import typing

import torch

from common.data.splits import SPLITS
from common.files.atomic import replace_atomically
from common.fitting.objective import Objective
from common.forcefields.parameter_file import save_fitted_force_field
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.smirnoff.constraints import remove_constraints
from common.smirnoff.offxml_writer import write_offxml
from common.sufficient_statistics.statistics import Statistics


def save_force_field(
    path: pathlib.Path,
    force_field: TensorForceField,
    start: ParameterizedMolecules,
    comments: collections.abc.Sequence[str],
) -> None:
    """Writes ``path`` + ".pt" and ".offxml".

    The ``.pt`` holds the force field alone; it names the parameters file with the molecules, so that it may be used in
    the place of that.

    Args:
        path: without suffix.
        force_field: the fitted values.
        start: what the fit started from, read from a file.
        comments: lines for the head of the OFFXML file.
    """
    save_fitted_force_field(path.with_name(path.name + ".pt"), force_field, start, comments)
    write_offxml(start.provenance["offxml"], force_field, path.with_name(path.name + ".offxml"), comments)


def save_unconstrained(path: pathlib.Path) -> None:
    """Writes "<path>-unconstrained.offxml" beside ``path`` + ".offxml": the same without constraints of bonds.

    Args:
        path: without suffix, of a force field that was saved.
    """
    text = path.with_name(path.name + ".offxml").read_text(encoding="utf-8")
    with replace_atomically(path.with_name(path.name + "-unconstrained.offxml")) as beside:
        beside.write_text(remove_constraints(text), encoding="utf-8")


def compute_losses(
    objectives: collections.abc.Mapping[str, Objective], force_field: TensorForceField
) -> dict[str, dict[str, float]]:
    """The losses of a force field on each split.

    Args:
        objectives: by split, all of the same statistics.
        force_field: with the rows that the statistics have.

    Returns:
        By split the loss [kcal²/mol²] without priors, its parts, and their roots [kcal/mol], [kcal/mol/Angstrom].
    """
    with torch.no_grad():
        [losses] = evaluate_curves(objectives, next(iter(objectives.values())).compute_delta(force_field)[None])
        return losses


def evaluate_curves(
    objectives: collections.abc.Mapping[str, Objective], deltas: torch.Tensor
) -> list[dict[str, dict[str, float]]]:
    """What :func:`compute_losses` gives, from δ of many force fields, ``shape=(n, n_used)``."""
    curves: list[dict[str, dict[str, float]]] = [{} for _ in deltas]
    for split, objective in objectives.items():
        parts = (form.evaluate_many(deltas).tolist() for form in (objective.energy, objective.forces))
        for losses, loss_energy, loss_forces in zip(curves, *parts, strict=True):
            losses[split] = _sum_parts(loss_energy, loss_forces, objective.force_weight)
    return curves


def describe_losses(losses: collections.abc.Mapping[str, collections.abc.Mapping[str, float]]) -> dict[str, float]:
    """What :func:`compute_losses` gives as scalars, "<name>/<split>": the curves of the splits share a plot."""
    return {f"{name}/{split}": value for split, of in losses.items() for name, value in of.items()}


def _sum_parts(loss_energy: float, loss_forces: float, force_weight: float) -> dict[str, float]:
    return {
        "loss": loss_energy + force_weight * loss_forces,
        "loss_energy": loss_energy,
        "loss_forces": loss_forces,
        "rmse_energy": max(loss_energy, 0.0) ** 0.5,
        "rmse_forces": max(loss_forces, 0.0) ** 0.5,
    }


def summarise(
    statistics: Statistics,
    objectives: collections.abc.Mapping[str, Objective],
    fields: collections.abc.Mapping[str, TensorForceField],
    seconds: collections.abc.Mapping[str, float],
) -> dict[str, typing.Any]:
    """What goes into ``summary.json``.

    Args:
        statistics: for the counts.
        objectives: the loss on each split that has entries.
        fields: "initial", "final" and "optimum", the floor of the training loss without priors.
        seconds: further figures, by name.

    Returns:
        ``loss_initial``, ``loss_final``, ``loss_optimum`` (of the training split, without priors), the counts and the
        two parts of the loss of each split and force field, and the seconds.
    """
    losses = {name: compute_losses(objectives, force_field) for name, force_field in fields.items()}
    splits: dict[str, dict[str, float]] = {}
    for split in SPLITS:
        groups = [group for (_, name), group in statistics.groups.items() if name == split]
        splits[split] = {
            "n_entries": sum(group.n_entries for group in groups),
            "n_molecules": statistics.n_molecules[split],
            "n_conformers": sum(group.n_conformers for group in groups),
            "n_energies": sum(group.n_energies for group in groups),
            "n_forces": sum(group.n_forces for group in groups),
        }
        for name in fields if split in objectives else ():
            for part in ("loss_energy", "loss_forces"):
                splits[split][f"{part}_{name}"] = losses[name][split][part]
    train = {name: losses[name]["train"]["loss"] for name in fields}
    return {
        **{f"loss_{name}": loss for name, loss in train.items()},
        "excess_over_optimum": train["final"] / train["optimum"] - 1.0 if train["optimum"] > 0.0 else 0.0,
        "objective_final": objectives["train"].compute_loss(fields["final"]).item(),
        "prior_strengths": {".".join(kind): value for kind, value in objectives["train"].prior_strengths.items()},
        "splits": splits,
        "statistics": statistics.fingerprint,
        "statistics_reused": statistics.is_reused,
        "n_ranks": statistics.n_ranks,
        "seconds_pass": 0.0 if statistics.is_reused else statistics.seconds,
        **seconds,
    }
