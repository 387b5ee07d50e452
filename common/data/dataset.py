"""The data sets that the stages hand on: one row an entry, in the schema of ``descent.targets.energy``.

A data set is a folder that ``datasets.load_from_disk`` opens: Arrow stream files (shards) and two JSON files that
describe them. A third, ``provenance.json``, says which stage wrote it, from what, and what was left out. Shards are
written by many processes at once and never held in memory; nothing goes through the Hugging Face cache.
"""

import bisect
import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import types
import typing

import datasets
import numpy
import pyarrow
import pyarrow.compute

from common.files.atomic import replace_atomically, replace_folder
from common.files.fingerprints import compute_content_hash, compute_fingerprint

FORMAT = 1
"""Version of the data set layout that this code writes and reads."""

SCHEMA = pyarrow.schema(
    [
        ("smiles", pyarrow.string()),
        ("coords", pyarrow.list_(pyarrow.float64())),
        ("energy", pyarrow.list_(pyarrow.float64())),
        ("forces", pyarrow.list_(pyarrow.float64())),
        ("energy_offset", pyarrow.float64()),
        ("entry", pyarrow.string()),
    ]
)
"""The columns of ``descent.targets.energy.DATA_SCHEMA`` and two of ours, which descent passes over.

A row without forces has null for their list, one without energies a list of as many nulls as it has conformers."""

REQUIRED_COLUMNS = ("smiles", "coords", "energy", "forces")

VALUES = {"coords": "coordinate", "energy": "energy", "forces": "force component"}
"""What one number of a column is called."""

BATCH_BYTES = 4_000_000
"""A record batch is written when it has grown to this size, so that a shard costs this much memory."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Quantum energies and forces of the conformers of one molecule, from one place in the archive.

    An entry may have energies alone, as torsion drives do, or forces alone; what it lacks is NaN throughout.

    Attributes:
        smiles: fully mapped, isomeric SMILES.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)`` float64.
        energy: [kcal/mol] ``shape=(n_confs,)`` float64, relative to ``energy_offset``; NaN where there are none.
        forces: [kcal/mol/Angstrom] ``shape=(n_confs, n_atoms, 3)`` float64, minus the gradient; NaN where there are
            none.
        energy_offset: [kcal/mol] what was subtracted from the energies, their mean.
        entry: where in the archive the entry comes from, e.g. "gen2-opt/12"; "" if unknown.
    """

    smiles: str
    coords: numpy.ndarray
    energy: numpy.ndarray
    forces: numpy.ndarray
    energy_offset: float = 0.0
    entry: str = ""

    @property
    def n_confs(self) -> int:
        return len(self.coords)

    @property
    def has_energies(self) -> bool:
        return self.energy.size == 0 or not bool(numpy.isnan(self.energy.flat[0]))

    @property
    def has_forces(self) -> bool:
        return self.forces.size == 0 or not bool(numpy.isnan(self.forces.flat[0]))

    @property
    def n_atoms(self) -> int:
        return self.coords.shape[1]

    @property
    def n_bytes(self) -> int:
        return self.coords.nbytes + self.energy.nbytes + self.forces.nbytes

    def select(self, conformers: typing.Any) -> "Entry":
        """The entry with only these conformers (an index array or mask), energies relative to their own mean."""
        energy = self.energy[conformers]
        mean = float(energy.mean()) if self.has_energies else 0.0
        return dataclasses.replace(
            self,
            coords=self.coords[conformers],
            energy=energy - mean,
            forces=self.forces[conformers],
            energy_offset=self.energy_offset + mean,
        )


class ShardWriter:
    """Writes entries to one Arrow stream file; nothing stands at ``path`` until the ``with`` block has ended."""

    def __init__(self, path: str | os.PathLike):
        self._path = path
        self._rows: list[Entry] = []

    def __enter__(self) -> "ShardWriter":
        with contextlib.ExitStack() as stack:
            beside = stack.enter_context(replace_atomically(self._path))
            self._stream = stack.enter_context(pyarrow.ipc.new_stream(str(beside), SCHEMA))
            stack.push(self._flush_unless_failed)  # last in, first out: an error here still reaches the other two
            self._stack = stack.pop_all()
        return self

    def write(self, entry: Entry) -> None:
        self._rows.append(entry)
        if sum(row.n_bytes for row in self._rows) >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._stream.write_batch(_to_record_batch(self._rows))
            self._rows = []

    def _flush_unless_failed(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def _to_record_batch(entries: list[Entry]) -> pyarrow.RecordBatch:
    def to_lists(arrays: list[numpy.ndarray | None]) -> pyarrow.Array:
        sizes = [0 if array is None else array.size for array in arrays]
        offsets = pyarrow.array(numpy.cumsum([0, *sizes]), pyarrow.int32())
        values = numpy.concatenate([numpy.zeros(0), *(array.reshape(-1) for array in arrays if array is not None)])
        is_missing = pyarrow.array([array is None for array in arrays])
        return pyarrow.ListArray.from_arrays(offsets, pyarrow.array(values, from_pandas=True), mask=is_missing)

    columns = [
        pyarrow.array([entry.smiles for entry in entries], pyarrow.string()),
        to_lists([entry.coords for entry in entries]),
        to_lists([entry.energy for entry in entries]),
        to_lists([entry.forces if entry.has_forces else None for entry in entries]),
        pyarrow.array([entry.energy_offset for entry in entries], pyarrow.float64()),
        pyarrow.array([entry.entry for entry in entries], pyarrow.string()),
    ]
    return pyarrow.record_batch(columns, schema=SCHEMA)


def finish_dataset(
    folder: str | os.PathLike,
    shards: collections.abc.Sequence[str | os.PathLike],
    output: str | os.PathLike,
    provenance: dict[str, typing.Any],
    schema: pyarrow.Schema = SCHEMA,
) -> None:
    """Makes a data set of finished shards and puts it at ``output``, in place of what stands there.

    Args:
        folder: where the shards lie; the whole folder becomes ``output``, so it holds nothing else that is wanted.
        shards: their paths, in the order of the rows.
        output: where the data set goes.
        provenance: plain values for ``provenance.json``, e.g. ``stage`` and counts.
        schema: of the shards; it may have further columns.
    """
    folder = pathlib.Path(folder)
    names = [f"data-{i:05d}-of-{len(shards):05d}.arrow" for i in range(len(shards))]
    for shard, name in zip(shards, names, strict=True):
        pathlib.Path(shard).rename(folder / name)
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    features = datasets.Features.from_arrow_schema(schema)
    state: dict[str, typing.Any] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": compute_content_hash([folder / name for name in names])[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    _write_json(folder / "dataset_info.json", {"features": features.to_dict()})
    _write_json(folder / "provenance.json", {"format": FORMAT, **provenance})
    _write_json(folder / "state.json", state)
    replace_folder(folder, output)


def _write_json(path: pathlib.Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def open_dataset(folder: str | os.PathLike) -> datasets.Dataset:
    """Opens a data set, memory-mapped. Data sets that descent wrote open as well.

    Raises:
        FileNotFoundError: there is no data set.
        ValueError: it was written by another version, or has other columns.
    """
    folder = pathlib.Path(folder)
    if not (folder / "state.json").is_file():
        raise FileNotFoundError(f"{folder}: no data set here; run the stage that writes it, or say where it is")
    provenance = read_provenance(folder)
    if provenance.get("format", FORMAT) != FORMAT:
        raise ValueError(
            f"{folder}: data set of format {provenance['format']!r}, expected {FORMAT}; "
            "run the stage that wrote it again"
        )
    try:
        dataset = datasets.load_from_disk(str(folder), keep_in_memory=False)
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise ValueError(f"{folder}: damaged data set ({error}); run the stage that wrote it again") from error
    for name in REQUIRED_COLUMNS:
        expected = SCHEMA.field(name).type
        found = dataset.data.schema.field(name).type if name in dataset.column_names else None
        if found != expected:
            raise ValueError(
                f"{folder}: column {name!r} is {found}, expected {expected}; run the stage that wrote it again"
            )
    return dataset if dataset.format["type"] is None else dataset.with_format(None)


def read_provenance(folder: str | os.PathLike) -> dict[str, typing.Any]:
    """The contents of ``provenance.json``; empty for a data set that another program wrote.

    Raises:
        ValueError: the file is damaged.
    """
    path = pathlib.Path(folder) / "provenance.json"
    try:
        provenance = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError:
        provenance = None
    if not isinstance(provenance, dict):
        raise ValueError(f"{path}: damaged; run the stage that wrote the data set again")
    return provenance


def list_sources(folder: str | os.PathLike) -> list[str]:
    """The names of the data sets in a folder, sorted.

    Raises:
        FileNotFoundError: there is none.
    """
    folder = pathlib.Path(folder)
    names = sorted(path.parent.name for path in folder.glob("*/state.json") if not path.parent.name.startswith("."))
    if not names:
        raise FileNotFoundError(f"{folder}: no data sets here; run the stage that writes them, or say where they are")
    return names


def read_entries(
    dataset: datasets.Dataset, rows: collections.abc.Iterable[int] | None = None
) -> collections.abc.Iterator[Entry]:
    """The entries of a data set in float64, read straight from the memory-mapped Arrow columns.

    Energies or forces that a row lacks, as null or as an empty list, are NaN.

    Args:
        dataset: what :func:`open_dataset` gives.
        rows: which rows, in this order; all by default.

    Raises:
        ValueError: the lengths of a row's columns disagree, a value is not finite, or a row has neither energies nor
            forces; the message names the row and molecule.
    """
    table = dataset.data.table
    batches = table.to_batches()
    ends = numpy.cumsum([len(batch) for batch in batches]).tolist()
    opened, columns = -1, _Columns([], {}, [], [])
    for row in range(len(table)) if rows is None else rows:
        place = bisect.bisect_right(ends, row)
        if place != opened:
            opened, columns = place, _open_batch(batches[place])
        within = row - ends[place] + len(batches[place])
        smiles = columns.smiles[within]
        (coords, energy, forces), missing = zip(*(one.read(within) for one in columns.numbers.values()), strict=True)
        is_missing = dict(zip(columns.numbers, missing, strict=True))
        if is_missing["energy"] and is_missing["forces"]:
            raise ValueError(f"row {row}, {smiles}: has neither energies nor forces; leave it out of the data set")
        if is_missing["forces"]:
            forces = numpy.full(coords.size, numpy.nan)
        n_confs = len(energy)
        if n_confs == 0 or coords.size != forces.size or coords.size % (3 * n_confs):
            raise ValueError(
                f"row {row}, {smiles}: {coords.size} coordinates, {forces.size} force components and {n_confs} "
                "energies do not belong together; run the stage that wrote the data set again"
            )
        for name, array in (("coords", coords), ("energy", energy), ("forces", forces)):
            if not is_missing[name] and not numpy.isfinite(array).all():
                raise ValueError(
                    f"row {row}, {smiles}: a {VALUES[name]} is not finite; run the stage that wrote the data set again"
                )
        yield Entry(
            smiles=smiles,
            coords=coords.reshape(n_confs, -1, 3),
            energy=energy,
            forces=forces.reshape(n_confs, -1, 3),
            energy_offset=columns.energy_offset[within],
            entry=columns.entry[within],
        )


class _Lists:
    """A column of lists of numbers in a record batch, cut by its offsets in plain numpy: a row costs a slice."""

    def __init__(self, column: pyarrow.ListArray):
        values = column.values  # of all lists of the file's batch; offsets count in them
        self._offsets = column.offsets.to_numpy().tolist()
        self._values = values.to_numpy(zero_copy_only=False)  # with nulls as NaN
        self._is_null = column.is_null().to_pylist() if column.null_count else None
        self._has_no_number = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None

    def read(self, row: int) -> tuple[numpy.ndarray, bool]:
        """The numbers of a row, and whether there are none: null, an empty list or one of nulls alone."""
        if self._is_null is not None and self._is_null[row]:
            return self._values[:0], True
        begin, end = self._offsets[row], self._offsets[row + 1]
        no_number = begin == end or (self._has_no_number is not None and bool(self._has_no_number[begin:end].all()))
        return self._values[begin:end], no_number


class _Columns(typing.NamedTuple):
    """The columns of a record batch, as rows are cut from them."""

    smiles: list[str]
    numbers: dict[str, _Lists]
    energy_offset: list[float]
    entry: list[str]


def _open_batch(batch: pyarrow.RecordBatch) -> _Columns:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return _Columns(
        smiles=columns["smiles"].to_pylist(),
        numbers={name: _Lists(columns[name]) for name in VALUES},
        energy_offset=columns["energy_offset"].to_pylist() if "energy_offset" in columns else [0.0] * len(batch),
        entry=columns["entry"].to_pylist() if "entry" in columns else [""] * len(batch),
    )


def read_fingerprint(folder: str | os.PathLike) -> str:
    """The fingerprint of a data set's contents, which ``common.data.dataset.finish_dataset`` computed."""
    return json.loads((pathlib.Path(folder) / "state.json").read_text())["_fingerprint"]


def compute_data_fingerprint(folder: str | os.PathLike) -> str:
    """Names the contents of all data sets in a folder, wherever it lies.

    Raises:
        FileNotFoundError: there is none.
    """
    folder = pathlib.Path(folder)
    return compute_fingerprint({source: read_fingerprint(folder / source) for source in list_sources(folder)})
