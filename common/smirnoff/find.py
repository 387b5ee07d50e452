"""Finds a force field file by its name: here, in ``force-fields/``, or in an installed package."""

import importlib.metadata
import os
import pathlib

FOLDER = "force-fields"
"""Folder, below the working directory, for force field files that one keeps oneself."""

ENTRY_POINT_GROUP = "openforcefield.smirnoff_forcefield_directory"
"""Under this group packages register functions that return folders of force field files."""


def find_force_field(name: str | os.PathLike) -> pathlib.Path:
    """The path of a force field file.

    Args:
        name: a path, or the name of a file in ``force-fields/`` or in an installed package.

    Raises:
        FileNotFoundError: it is nowhere; the message lists where it was looked for and how to get it.
    """
    folders = [pathlib.Path(), pathlib.Path(FOLDER), *list_installed_folders()]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked = "".join(f"\n  {folder / name}" for folder in folders)
    raise FileNotFoundError(
        f"no force field file {os.fspath(name)!r}; looked for{looked}\n"
        "Install the force fields of OpenFF (conda install -c conda-forge openff-forcefields), or download "
        f"{pathlib.Path(name).name} from https://github.com/openforcefield/openff-forcefields (folder "
        f"openforcefields/offxml) into {FOLDER}/, or name another file with --force-field, e.g. example/starter.offxml"
    )


def list_installed_folders() -> list[pathlib.Path]:
    """The folders that installed packages register."""
    entry_points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return [pathlib.Path(folder) for entry_point in entry_points for folder in entry_point.load()()]
