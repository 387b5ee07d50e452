"""Data sets made shard by shard in many processes; what is finished survives an interruption.

A stage cuts the items of a source (archive entries, rows) into slices, the same ones whatever the number of workers.
Each slice becomes a shard, in two files of a hidden folder beside the output: ``00012.arrow``, and ``00012.json`` with
what is to be remembered of it, written last. :func:`make_shards` makes those that are missing;
:func:`publish_datasets` puts all sources in the place of the earlier artifact at once. Between the two, a stage that
has seen every source may still drop rows.

The hidden folder's name holds a fingerprint of everything that determines the contents, so that shards of another
input or of other settings are never used: they are removed.
"""

import collections.abc
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import typing

import numpy
import pyarrow

from common.data.dataset import SCHEMA, finish_dataset
from common.files.atomic import follow_links, name_full_disk, recover_folder, replace_atomically, replace_folder
from common.files.fingerprints import compute_fingerprint
from common.files.locks import LockedError, hold_lock
from common.processes.pool import run_in_processes

FORMAT = 1
"""Version of the layout of a shard folder."""


@dataclasses.dataclass(frozen=True)
class Shards:
    """The finished shards of one source.

    Attributes:
        source: the name of the data set that they will be.
        folder: where they lie.
        paths: one Arrow stream file for each slice.
        results: what the function that made each shard returned, after a round trip through JSON.
        made: whether this run made the shard, and not an earlier one.
    """

    source: str
    folder: pathlib.Path
    paths: tuple[pathlib.Path, ...]
    results: tuple[dict[str, typing.Any], ...]
    made: tuple[bool, ...]


def make_shards(
    output: str | os.PathLike,
    source: str,
    slices: collections.abc.Sequence[collections.abc.Sequence],
    function: collections.abc.Callable[[collections.abc.Sequence, pathlib.Path], dict[str, typing.Any]],
    fingerprint: typing.Any,
    n_workers: int,
    description: str,
) -> Shards:
    """Makes one shard of each slice, except those that an earlier, interrupted run has finished.

    Args:
        output: the folder of data sets that will be published; nothing is written there yet.
        source: name of the data set within ``output``.
        slices: what each shard is made of; items that JSON or ``str`` can name (they are part of the fingerprint).
        function: ``function(slice, path)`` writes a shard to ``path`` with ``common.data.dataset.ShardWriter`` and
            returns a dict that JSON can hold: counts, reasons, keys. It is sent to the workers by name; a
            ``functools.partial`` of a module-level function serves. An item that fails is its own to catch.
        fingerprint: plain values that determine the contents besides the slices: the input's fingerprint, the
            settings, a version of the code.
        n_workers: number of processes.
        description: what the progress bar says.

    Raises:
        whatever ``function`` raises; finished shards are kept.
        OSError: the disk is full or not writable.
    """
    work = _get_work_folder(output)
    folder = work / f"{source}.{compute_fingerprint([FORMAT, source, slices, fingerprint])}"
    _remove_stale_shards(work, source, folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:05d}.arrow" for i in range(len(slices))]
    made = tuple(_read_result(path) is None for path in paths)
    missing = [item for item, is_made in zip(zip(slices, paths, strict=True), made, strict=True) if is_made]
    if len(missing) < len(slices):
        print(f"{source}: {len(slices) - len(missing)} of {len(slices)} shards were finished by an earlier run")
    for _ in run_in_processes(
        functools.partial(_make_shard, function), missing, n_workers, [1] * len(missing), description, "shard"
    ):
        pass
    results = tuple(result for path in paths if (result := _read_result(path)) is not None)
    return Shards(source, folder, tuple(paths), results, made)


def drop_rows(shards: Shards, rows: collections.abc.Mapping[int, collections.abc.Collection[int]]) -> Shards:
    """The shards without some rows; the files that ``shards`` names stay as they are.

    Args:
        shards: what :func:`make_shards` gave.
        rows: for the index of each shard concerned, the rows to drop, counted within the shard.
    """
    paths = list(shards.paths)
    for i, dropped in rows.items():
        if dropped:
            paths[i] = paths[i].with_suffix(".kept.arrow")
            _copy_rows(shards.paths[i], paths[i], dropped)
    return dataclasses.replace(shards, paths=tuple(paths))


def publish_datasets(
    output: str | os.PathLike,
    sources: collections.abc.Sequence[tuple[Shards, dict[str, typing.Any]]],
    files: collections.abc.Mapping[str, str] | None = None,
    kept: collections.abc.Collection[str] = (),
) -> None:
    """Puts finished sources at ``output``, all at once, in place of what an earlier run left there.

    A source without rows is left out: the stage has said why.

    Args:
        output: the folder of data sets; what stands there and is not among ``sources`` or ``kept`` goes.
        sources: the shards of each source and the contents of its ``provenance.json``. To be the same whatever the
            number of workers, these hold no times and no number of workers.
        files: further text files by their path below ``output``, e.g. ``{"smiles.json": "[...]"}``.
        kept: names of data sets that stand at ``output`` and stay there.

    Raises:
        ValueError: no source has rows, or ``output`` holds something that no stage wrote.
    """
    check_output(output, files or ())
    sources = [(shards, provenance) for shards, provenance in sources if any(map(_count_rows, shards.paths))]
    if not sources:
        raise ValueError(f"{output}: nothing is left of any source; the reasons are given above")
    work = _get_work_folder(output)
    finished = work / ".finished"
    shutil.rmtree(finished, ignore_errors=True)
    with name_full_disk(output):
        for shards, provenance in sources:
            folder = finished / f".{shards.source}"
            folder.mkdir(parents=True)
            finish_dataset(folder, _link_files(shards.paths, folder), finished / shards.source, provenance)
        for name in kept:
            folder = finished / name
            folder.mkdir(parents=True)
            _link_files(sorted((follow_links(output) / name).iterdir()), folder)
        for name, text in (files or {}).items():
            (finished / name).write_text(text)
    replace_folder(finished, output)
    shutil.rmtree(work)


@contextlib.contextmanager
def reserve_output(
    output: str | os.PathLike, files: collections.abc.Collection[str] = ()
) -> collections.abc.Iterator[None]:
    """Keeps a folder of data sets, which the block will make, for this process, and makes sure that it may be replaced.

    Args:
        output, files: as for :func:`check_output`.

    Raises:
        LockedError: another process is making it.
        ValueError, OSError: it may not or cannot be made.
    """
    place = follow_links(output)
    place.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(place.with_name(f".{place.name}.lock")))
        except LockedError as error:
            raise LockedError(
                f"{output}: {error} on it; wait until it has ended, or choose another --output"
            ) from error
        check_output(output, files)
        yield


def check_output(output: str | os.PathLike, files: collections.abc.Collection[str] = ()) -> None:
    """Makes sure that what stands at ``output`` may be replaced; a stage calls it before its long work, too.

    What a run that was killed while it replaced the folder had moved aside is put back.

    Args:
        output: the folder of data sets, which need not exist.
        files: names of further files that the stage writes there.

    Raises:
        ValueError: there is something that no stage wrote, which replacing the folder would remove, or no folder that
            could be replaced.
    """
    output = pathlib.Path(output)
    recover_folder(output)
    if not output.exists():
        return
    if not output.is_dir():
        raise ValueError(f"{output}: is a file; the data sets need a folder there: choose another --output")
    if follow_links(output).is_mount():
        raise ValueError(
            f"{output}: is the root of a file system, and the output is replaced as a whole: choose a folder in it as "
            "--output"
        )
    foreign = sorted(
        path.name
        for path in output.iterdir()
        if not path.name.startswith(".") and not (path / "state.json").is_file() and path.name not in files
    )
    if foreign:
        raise ValueError(
            f"{output}: holds {foreign[0]!r}, which is no data set, and the folder would be replaced as a whole; "
            "move it away or choose another --output"
        )


def sum_counts(counts: collections.abc.Iterable[collections.abc.Mapping[str, int]]) -> dict[str, int]:
    """Adds up counts by name; names stay in the order in which they first come up."""
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total


def _get_work_folder(output: str | os.PathLike) -> pathlib.Path:
    output = follow_links(output)  # the shards are to lie on the disk that the output will be on
    return output.with_name(f".{output.name}.shards")


def _remove_stale_shards(work: pathlib.Path, source: str, folder: pathlib.Path) -> None:
    for path in work.glob(f"{source}.*"):
        if path != folder:
            shutil.rmtree(path)


def _make_shard(function, item: tuple[collections.abc.Sequence, pathlib.Path]) -> None:
    items, path = item
    result = function(items, path)
    with replace_atomically(path.with_suffix(".json")) as beside:
        beside.write_text(json.dumps({"n_bytes": path.stat().st_size, "result": result}))


def _read_result(path: pathlib.Path) -> dict[str, typing.Any] | None:
    """What the function that made the shard returned; None unless the shard is whole."""
    try:
        record = json.loads(path.with_suffix(".json").read_text())
        return record["result"] if record["n_bytes"] == path.stat().st_size else None
    except FileNotFoundError:
        return None


def _link_files(paths: collections.abc.Sequence[pathlib.Path], folder: pathlib.Path) -> list[pathlib.Path]:
    """Second names of finished shards, so that a run killed while it publishes finds them under their first.

    Where the file system has no hard links they are moved instead.
    """
    links = [folder / path.name for path in paths]
    for path, link in zip(paths, links, strict=True):
        try:
            os.link(path, link)
        except OSError:
            path.rename(link)
    return links


def _count_rows(path: pathlib.Path) -> int:
    with pyarrow.memory_map(str(path)) as file, pyarrow.ipc.open_stream(file) as stream:
        return sum(batch.num_rows for batch in stream)


def _copy_rows(path: pathlib.Path, copy: pathlib.Path, dropped: collections.abc.Collection[int]) -> None:
    with (
        replace_atomically(copy) as beside,
        pyarrow.memory_map(str(path)) as file,
        pyarrow.ipc.open_stream(file) as stream,
        pyarrow.ipc.new_stream(str(beside), SCHEMA) as kept,
    ):
        start = 0
        for batch in stream:
            rows = numpy.arange(start, start + batch.num_rows)
            kept.write_batch(batch.filter(pyarrow.array(~numpy.isin(rows, list(dropped)))))
            start += batch.num_rows
