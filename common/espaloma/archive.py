"""Where the entries of the Espaloma 0.3.0 archive (https://zenodo.org/records/8150601) lie.

    <source>/<entry>/{mol.json, heterograph.bin}
    duplicated-isomeric-smiles-merge/<k>/<source>/<entry>/{mol.json, heterograph.bin}

Molecules that occur in several sources were moved to the second place, where the sources are named without "-opt".
Names say where an entry lies, and nothing about its molecule: that is in ``mol.json``.
"""

import collections.abc
import dataclasses
import os
import pathlib
import re

from common.files.atomic import follow_links

SOURCES = ("gen2-opt", "gen2-torsion", "spice-des-monomers", "spice-pubchem")

FOLDERS = {"gen2-opt": ("gen2-opt", "gen2")}
"""What the folder of a source can be called, where that is not its name alone."""

DUPLICATES = "duplicated-isomeric-smiles-merge"

FILES = ("mol.json", "heterograph.bin")


class ArchiveError(ValueError):
    """The archive, or a source, is not there or not as it should be; the message says what is there and what to do."""


@dataclasses.dataclass(frozen=True)
class EntryLocation:
    """One entry of the archive.

    Attributes:
        name: its path within the archive, e.g. "gen2-opt/12".
        folder: where it lies.
        n_bytes: sizes of ``FILES``.
        modified: [ns] times of their last change.
        problem: why the entry cannot be read, e.g. that a file is missing; "" if nothing is known against it.
    """

    name: str
    folder: pathlib.Path
    n_bytes: tuple[int, ...] = ()
    modified: tuple[int, ...] = ()
    problem: str = ""


def find_entries(
    archive: str | os.PathLike, sources: collections.abc.Sequence[str] = SOURCES
) -> dict[str, list[EntryLocation]]:
    """The entries of each source, in an order that is always the same: by the numbers in their names.

    Args:
        archive: the folder into which the tar files were unpacked.
        sources: which of ``SOURCES``.

    Raises:
        ArchiveError: the archive or a source is missing or empty, or a source leads out of the archive.
    """
    archive = pathlib.Path(archive)
    if not archive.is_dir():
        raise ArchiveError(
            f"{archive}: no archive here. Download the tar files of {', '.join(sources)} and {DUPLICATES} from "
            "https://zenodo.org/records/8150601 and unpack them there (docs/the-fit.md has the commands), or say where "
            "it is with --input; `make example` runs everything on a small archive that comes with the code"
        )
    return {source: _find_source(archive, source) for source in sources}


def _find_source(archive: pathlib.Path, source: str) -> list[EntryLocation]:
    spellings = FOLDERS.get(source, (source,))
    folders = [archive / spelling for spelling in spellings]
    folders += [part / spelling for part in _list_folders(archive / DUPLICATES) for spelling in spellings]
    entries = [_locate(archive, folder) for parent in folders for folder in _list_entries(archive, parent)]
    if not entries:
        found = ", ".join(path.name for path in _list_folders(archive)) or "nothing"
        raise ArchiveError(
            f"{archive}: no entries of {source} (expected in {archive / spellings[0]}/); there is: {found}. Download "
            f"{source}.tar.gz from https://zenodo.org/records/8150601 and unpack it there, again if an earlier attempt "
            "was interrupted, or leave this source out with --sources"
        )
    return entries


def _list_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders in a folder, in natural order; hidden ones are left-overs of macOS and of interrupted unpacking."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as items:
        names = [item.name for item in items if not item.name.startswith(".") and item.is_dir()]
    return [folder / name for name in sorted(names, key=_make_sort_key)]


def _make_sort_key(name: str) -> list[tuple[int, str]]:
    """Sorts numbers within names as numbers: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)] + [(-1, name)]


def _list_entries(archive: pathlib.Path, parent: pathlib.Path) -> list[pathlib.Path]:
    if not _lies_within(archive, parent):
        raise ArchiveError(f"{parent}: leads out of the archive, to {follow_links(parent)}; unpack the archive again")
    return _list_folders(parent)


def _lies_within(archive: pathlib.Path, path: pathlib.Path) -> bool:
    return follow_links(path).is_relative_to(follow_links(archive))


def _locate(archive: pathlib.Path, folder: pathlib.Path) -> EntryLocation:
    name = folder.relative_to(archive).as_posix()
    paths = [folder / file for file in FILES]
    for path in paths:
        if (path.is_symlink() or folder.is_symlink()) and not _lies_within(archive, path):
            return EntryLocation(name, folder, problem=f"leads out of the archive, to {follow_links(path)}")
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        return EntryLocation(name, folder, problem=f"{' and '.join(missing)} missing: unpacked only in part?")
    stats = [path.stat() for path in paths]
    return EntryLocation(name, folder, tuple(stat.st_size for stat in stats), tuple(stat.st_mtime_ns for stat in stats))
