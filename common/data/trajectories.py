"""Trajectories as data sets: the common schema, one row a run, and what dynamics knows besides.

Any stage that reads energies and forces reads them; the further columns are velocities, masses, the periodic box, times
and temperature. Columns that a source lacks are null.
"""

import collections.abc
import dataclasses
import os
import pathlib
import shutil
import typing

import numpy
import pyarrow

from common.data.dataset import SCHEMA, Entry, finish_dataset, open_dataset, read_entries
from common.files.atomic import follow_links
from common.molecules.mapped_smiles import from_mapped_smiles

TRAJECTORY_SCHEMA = pyarrow.schema(
    [
        *SCHEMA,
        ("velocities", pyarrow.list_(pyarrow.float64())),
        ("masses", pyarrow.list_(pyarrow.float64())),
        ("cell", pyarrow.list_(pyarrow.float64())),
        ("frame_interval", pyarrow.float64()),
        ("time_step", pyarrow.float64()),
        ("temperature", pyarrow.float64()),
    ]
)


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """The frames of one run, in their order.

    Attributes:
        entry: coordinates, energies and forces, see :class:`common.data.dataset.Entry`.
        masses: [amu] ``shape=(n_atoms,)``.
        velocities: [Angstrom/fs] ``shape=(n_frames, n_atoms, 3)``, or None.
        cell: edges of the periodic box [Angstrom], ``shape=(3,)``, or None.
        frame_interval: [fs] between two frames; None where frames do not follow each other.
        time_step: [fs] of the integrator, or None.
        temperature: [K], or None.
    """

    entry: Entry
    masses: numpy.ndarray
    velocities: numpy.ndarray | None = None
    cell: numpy.ndarray | None = None
    frame_interval: float | None = None
    time_step: float | None = None
    temperature: float | None = None

    @property
    def n_frames(self) -> int:
        return self.entry.n_confs

    def select(self, frames: slice) -> "Trajectory":
        """Some frames; energies relative to their own mean."""
        indices = numpy.arange(self.n_frames)[frames]
        step = 1 if frames.step is None else frames.step
        return dataclasses.replace(
            self,
            entry=self.entry.select(indices),
            velocities=None if self.velocities is None else self.velocities[indices],
            frame_interval=None if self.frame_interval is None else self.frame_interval * step,
        )


def write_trajectories(
    output: str | os.PathLike,
    trajectories: collections.abc.Iterable[Trajectory],
    provenance: dict[str, typing.Any],
) -> None:
    """Writes a data set of trajectories, in place of what stands at ``output``; whole or not at all.

    Args:
        output: the folder of the data set.
        trajectories: one row each; one at a time is held in memory.
        provenance: plain values for ``provenance.json``.
    """
    output = follow_links(output)
    folder = output.with_name(f".{output.name}.work")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shard = folder / "shard.arrow"
    with pyarrow.ipc.new_stream(str(shard), TRAJECTORY_SCHEMA) as stream:
        for trajectory in trajectories:
            stream.write_batch(_to_record_batch(trajectory))
    finish_dataset(folder, [shard], output, provenance, TRAJECTORY_SCHEMA)


def _to_record_batch(trajectory: Trajectory) -> pyarrow.RecordBatch:
    entry = trajectory.entry
    values = {
        **{field.name: getattr(trajectory, field.name) for field in dataclasses.fields(trajectory)},
        **{name: getattr(entry, name) for name in SCHEMA.names},
    }
    columns = []
    for field in TRAJECTORY_SCHEMA:
        value = values[field.name]
        if isinstance(value, numpy.ndarray):
            offsets = pyarrow.array([0, value.size], pyarrow.int32())
            columns.append(pyarrow.ListArray.from_arrays(offsets, numpy.ascontiguousarray(value).reshape(-1)))
        else:
            columns.append(pyarrow.array([value], field.type))
    return pyarrow.record_batch(columns, schema=TRAJECTORY_SCHEMA)


def read_trajectories(folder: str | os.PathLike) -> list[Trajectory]:
    """The trajectories of a data set; those of any data set of the house, whose frames then do not follow each other.

    Masses that are missing are those of the elements.

    Raises:
        FileNotFoundError: there is no data set.
        ValueError: it is damaged, or the lengths of its columns disagree.
    """
    dataset = open_dataset(folder)
    extras = [name for name in TRAJECTORY_SCHEMA.names if name not in SCHEMA.names and name in dataset.column_names]
    trajectories = []
    for row, entry in enumerate(read_entries(dataset)):
        values = {name: dataset.data.table.column(name)[row].as_py() for name in extras}
        arrays = {
            name: numpy.array(values[name], dtype=numpy.float64)
            for name in ("velocities", "masses", "cell")
            if values.get(name) is not None
        }
        if "masses" not in arrays:
            arrays["masses"] = _look_up_masses(entry.smiles)
        _check(pathlib.Path(folder), row, entry, arrays)
        if "velocities" in arrays:
            arrays["velocities"] = arrays["velocities"].reshape(entry.coords.shape)
        trajectories.append(
            Trajectory(
                entry=entry,
                masses=arrays["masses"],
                velocities=arrays.get("velocities"),
                cell=arrays.get("cell"),
                frame_interval=values.get("frame_interval"),
                time_step=values.get("time_step"),
                temperature=values.get("temperature"),
            )
        )
    return trajectories


def _look_up_masses(smiles: str) -> numpy.ndarray:
    return numpy.array([atom.GetMass() for atom in from_mapped_smiles(smiles).GetAtoms()])


def _check(folder: pathlib.Path, row: int, entry: Entry, arrays: dict[str, numpy.ndarray]) -> None:
    if not (entry.has_energies and entry.has_forces):
        raise ValueError(f"{folder}: row {row}, {entry.smiles}: frames need energies and forces; leave this row out")
    expected = {"velocities": entry.coords.size, "masses": entry.n_atoms, "cell": 3}
    for name, array in arrays.items():
        if array.size != expected[name] or not numpy.isfinite(array).all():
            raise ValueError(
                f"{folder}: row {row}, {entry.smiles}: {array.size} numbers of {name}, expected {expected[name]} "
                "finite ones; run the stage that wrote the data set again"
            )


def join_frames(trajectories: collections.abc.Sequence[Trajectory]) -> Entry:
    """The frames of several runs of one system as one entry, energies relative to their common mean.

    Raises:
        ValueError: they are not of one system.
    """
    entries = [trajectory.entry for trajectory in trajectories]
    if len({entry.smiles for entry in entries}) != 1:
        raise ValueError(f"frames of different systems: {entries[0].smiles} and {entries[-1].smiles}, for example")
    offset = entries[0].energy_offset  # what is subtracted first keeps the digits of the differences
    energy = numpy.concatenate([entry.energy + (entry.energy_offset - offset) for entry in entries])
    mean = float(energy.mean())
    return Entry(
        entries[0].smiles,
        numpy.concatenate([entry.coords for entry in entries]),
        energy - mean,
        numpy.concatenate([entry.forces for entry in entries]),
        offset + mean,
        entries[0].entry,
    )
