"""The run folder: what a fit was asked to do, how it went, and what came out."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import typing

import torch
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from common.files import replace_atomically
from common.offxml_write import write_offxml
from common.tensors import ParameterizedMolecules, TensorForceField, save_parameters

PACKAGES = ("torch", "numpy", "scipy", "rdkit", "datasets", "pyarrow", "openff-nagl-models", "clarabel")
"""Distributions whose versions a run records."""


def create_run_folder(output: str | os.PathLike) -> pathlib.Path:
    """A new folder named by date and time below ``output``; a number is added where the second is taken."""
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    stamp = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    for name in (stamp, *(f"{stamp}-{i}" for i in range(2, 100))):
        try:
            (output / name).mkdir()
        except FileExistsError:
            continue
        return output / name
    raise OSError(f"{output}: no free name for a run folder at {stamp}")


def find_latest_run(output: str | os.PathLike) -> pathlib.Path:
    """The run that was started last and has ended.

    Raises:
        FileNotFoundError: there is none.
    """
    runs = sorted(path.parent for path in pathlib.Path(output).glob("*/summary.json"))
    if not runs:
        raise FileNotFoundError(f"{output}: no finished run here; run 004-train.py, or say where the run is")
    return runs[-1]


def describe_versions() -> dict[str, str]:
    """Versions of Python, of the packages that matter, and of this repository (git revision), where known."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    versions["revision"] = _describe_revision()
    return versions


def _describe_revision() -> str:
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return result.stdout.strip()


def write_json(path: str | os.PathLike, value: typing.Any) -> None:
    """Writes a JSON file, whole or not at all."""
    with replace_atomically(path) as beside:
        beside.write_text(json.dumps(value, indent=2, default=str) + "\n")


def save_force_field(
    path: pathlib.Path, force_field: TensorForceField, start: ParameterizedMolecules, comments: typing.Sequence[str]
) -> None:
    """Writes ``path`` + ".pt" and ".offxml".

    The ``.pt`` is of the kind that stage 002 writes, with the same topologies, so that it may be used in its place.

    Args:
        path: without suffix.
        force_field: the fitted values.
        start: what the fit started from.
        comments: lines for the head of the OFFXML file.
    """
    provenance = {**start.provenance, "fitted": list(comments)}
    save_parameters(
        path.with_name(path.name + ".pt"),
        dataclasses.replace(start, force_field=force_field, provenance=provenance),
    )
    write_offxml(start.provenance["offxml"], force_field, path.with_name(path.name + ".offxml"), comments)


class Log:
    """Scalars for TensorBoard, in the run folder."""

    def __init__(self, folder: pathlib.Path):
        self.writer = SummaryWriter(str(folder))

    def add_losses(self, split: str, losses: typing.Mapping[str, float], epoch: int) -> None:
        """Writes ``losses`` under ``<name>/<split>``, so that the curves of the splits share a plot."""
        for name, value in losses.items():
            self.writer.add_scalar(f"{name}/{split}", value, epoch)

    def add_hyperparameters(self, settings: typing.Mapping[str, typing.Any], metrics: dict[str, float]) -> None:
        """Fills the hparams tab."""
        plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in settings.items()}
        for summary in hparams(plain, metrics):
            self.writer.file_writer.add_summary(summary)
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, 0)

    def close(self) -> None:
        self.writer.close()


def describe_losses(loss_energy: float, loss_forces: float, force_weight: float) -> dict[str, float]:
    """The figures that are logged: loss [kcal²/mol²], its parts, and their roots [kcal/mol], [kcal/mol/Angstrom]."""
    return {
        "loss": loss_energy + force_weight * loss_forces,
        "loss_energy": loss_energy,
        "loss_forces": loss_forces,
        "rmse_energy": max(loss_energy, 0.0) ** 0.5,
        "rmse_forces": max(loss_forces, 0.0) ** 0.5,
    }


def compute_losses(objective: typing.Any, force_field: TensorForceField) -> dict[str, float]:
    """:func:`describe_losses` of a force field on one split."""
    with torch.no_grad():
        loss_energy, loss_forces = objective.compute_parts(force_field)
    return describe_losses(loss_energy.item(), loss_forces.item(), objective.force_weight)
