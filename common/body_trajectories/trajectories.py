"""Trajectories of a system of rigid bodies as arrays, and the folder that holds them in three splits.

A folder has ``system.json`` and, for each split, ``<split>/trajectories.pt``: plain tensors, which
``torch.load(weights_only=True)`` reads, too.
"""

import collections.abc
import dataclasses
import json
import os
import pathlib
import shutil
import typing

import torch

from common.body_trajectories.systems import BodySystem, read_system
from common.dynamics.rigid_bodies import Motion
from common.files.artifacts import ArtifactError, MissingArtifactError
from common.files.atomic import get_beside, name_full_disk, remove_leftovers, replace_folder
from common.files.plain import write_json
from common.files.tensor_file import read_tensors, write_tensors

FORMAT = 1
"""Version of the layout that this code writes and reads."""

SPLITS = ("train", "validation", "test")

UNIT_TOLERANCE = 1e-4
"""How far |q| may be from 1; files with six digits leave 1e-6."""


@dataclasses.dataclass(frozen=True)
class Trajectories:
    """Trajectories of one system, all of the same length and interval.

    Attributes:
        system: the bodies and what acts between them.
        interval: [time] between frames.
        motion: all states, ``shape=(n_trajectories, n_frames, n_bodies, 3 | 4)``.
        names: of the trajectories.
        energies: [energy] of what is to be learned: without the spring; ``shape=(n_trajectories, n_frames)``, or None.
        forces, torques: of the same, torques along the bodies' own axes, ``shape=(n_trajectories, n_frames, n_bodies,
            3)``, or None.
        kt: [energy] the temperature that they were started at; None where it is not known.
    """

    system: BodySystem
    interval: float
    motion: Motion
    names: tuple[str, ...]
    energies: torch.Tensor | None = None
    forces: torch.Tensor | None = None
    torques: torch.Tensor | None = None
    kt: float | None = None

    @property
    def n_trajectories(self) -> int:
        return self.motion.positions.shape[0]

    @property
    def n_frames(self) -> int:
        return self.motion.positions.shape[1]

    def check(self, where: str) -> None:
        """Sees that all numbers are finite, quaternions are units, and what cannot turn does not.

        Raises:
            ValueError: something is wrong; it names the trajectory and the frame.
        """
        for name, values in (*self.motion._asdict().items(), ("energies", self.energies), ("forces", self.forces)):
            if values is not None and not torch.isfinite(values).all():
                self._raise(where, ~torch.isfinite(values), f"{name.replace('_', ' ')} that are not finite")
        lengths = self.motion.quaternions.norm(dim=-1)
        if (wrong := (lengths - 1.0).abs() > UNIT_TOLERANCE).any():
            self._raise(where, wrong, f"a quaternion of length {lengths[wrong][0]:.6g} instead of 1")
        still = self.system.build_inertia().moments == 0.0
        if (wrong := (self.motion.angular_momenta.abs() > UNIT_TOLERANCE) & still).any():
            self._raise(where, wrong, "an angular momentum about an axis without inertia")

    def _raise(self, where: str, wrong: torch.Tensor, what: str) -> typing.NoReturn:
        trajectory, frame = wrong.flatten(2).any(-1).nonzero()[0].tolist() if wrong.ndim > 2 else wrong.nonzero()[0]
        raise ValueError(f"{where}: {self.names[trajectory]}, frame {int(frame)}, has {what}")

    def select(self, trajectories: slice = slice(None), frames: slice = slice(None)) -> "Trajectories":
        """Some of the trajectories and frames; a step of frames lengthens the interval."""

        def cut(values):
            return None if values is None else values[trajectories, frames]

        return dataclasses.replace(
            self,
            interval=self.interval * (frames.step or 1),
            motion=Motion(*(cut(values) for values in self.motion)),
            names=self.names[trajectories],
            energies=cut(self.energies),
            forces=cut(self.forces),
            torques=cut(self.torques),
        )


def save_trajectories(
    folder: str | os.PathLike, splits: collections.abc.Mapping[str, Trajectories], provenance: dict[str, typing.Any]
) -> None:
    """Writes a folder of trajectories, whole or not at all, in place of what stands there.

    Args:
        folder: where to.
        splits: by name of ``SPLITS``, trajectories of one system.
        provenance: plain values that say how they were made.
    """
    folder = pathlib.Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, folder.name)
    beside = get_beside(folder)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    first = next(iter(splits.values()))
    with name_full_disk(folder):
        for split, own in splits.items():
            (beside / split).mkdir()
            plain = {"names": list(own.names), **own.motion._asdict()}
            plain |= {name: getattr(own, name) for name in ("energies", "forces", "torques")}
            write_tensors(plain, beside / split / "trajectories.pt")
        record = {
            "format": FORMAT,
            "system": first.system.to_plain(),
            "interval": first.interval,
            "kt": first.kt,
            "provenance": provenance,
        }
        write_json(beside / "system.json", record)
        replace_folder(beside, folder)


def load_trajectories(folder: str | os.PathLike, split: str) -> Trajectories:
    """One split of a folder that :func:`save_trajectories` wrote.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, of another format, or holds numbers that cannot be.
    """
    folder = pathlib.Path(folder)
    record = read_record(folder)
    path = folder / split / "trajectories.pt"
    if not path.is_file():
        raise MissingArtifactError(f"{path}: no such file", "trajectories")
    try:
        plain = read_tensors(path)
        trajectories = Trajectories(
            read_system(record["system"]),
            record["interval"],
            Motion(*(plain[name] for name in Motion._fields)),
            tuple(plain["names"]),
            plain["energies"],
            plain["forces"],
            plain["torques"],
            record["kt"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged ({error})", "trajectories") from error
    trajectories.check(str(path))
    return trajectories


def read_record(folder: pathlib.Path) -> dict[str, typing.Any]:
    """What ``system.json`` of a folder of trajectories says.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another format.
    """
    path = folder / "system.json"
    if not path.is_file():
        raise MissingArtifactError(f"{folder}: no trajectories here (no system.json)", "trajectories")
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise ArtifactError(f"{path}: damaged ({error})", "trajectories") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ArtifactError(f"{path}: not of format {FORMAT}", "trajectories")
    return record
