"""The index of data sets: which rows there are, of which molecules, and how large; no coordinates are read."""

import dataclasses
import os
import pathlib

import pyarrow
import pyarrow.compute

from common.data.dataset import list_sources, open_dataset
from common.files.artifacts import ArtifactError


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a data set, which holds conformers of one molecule.

    Attributes:
        source: name of the data set.
        row: where in the data set, counted from 0.
        smiles: fully mapped SMILES.
        n_confs: number of conformers.
        n_coords: number of coordinates of all of them, which is that of force components, too.
    """

    source: str
    row: int
    smiles: str
    n_confs: int
    n_coords: int

    def fits(self, n_atoms: int) -> bool:
        """Whether a molecule of so many atoms has so many coordinates."""
        return self.n_coords == 3 * n_atoms * self.n_confs


def index_dataset(folder: str | os.PathLike) -> list[Row]:
    """All rows of a data set, in their order.

    Raises:
        FileNotFoundError, ValueError: as :func:`common.data.dataset.open_dataset`.
        ArtifactError: a row lacks its energies or coordinates.
    """
    folder = pathlib.Path(folder)
    table = open_dataset(folder).data.table
    n_energies, n_coords = (_measure_lists(table.column(name)) for name in ("energy", "coords"))
    rows = []
    for row, (smiles, n_confs, n_values) in enumerate(
        zip(table.column("smiles").to_pylist(), n_energies, n_coords, strict=True)
    ):
        if smiles is None or n_confs is None or n_values is None:
            raise ArtifactError(f"{folder}: row {row}, {smiles}, is not whole; run the stage that wrote it again")
        rows.append(Row(folder.name, row, smiles, n_confs, n_values))
    return rows


def index_sources(data: str | os.PathLike) -> list[Row]:
    """All rows of all data sets in a folder, those of one source after another, sources by name.

    Raises:
        FileNotFoundError: there is none.
        ValueError: one is damaged or of another version.
    """
    return [row for source in list_sources(data) for row in index_dataset(pathlib.Path(data) / source)]


def _measure_lists(column: pyarrow.ChunkedArray) -> list[int | None]:
    return pyarrow.compute.list_value_length(column).to_pylist()
