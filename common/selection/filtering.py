"""Which entries have parameters, and which of their conformers are kept."""

import collections.abc
import dataclasses
import os
import pathlib
import typing

from common.data.dataset import Entry, ShardWriter, open_dataset, read_entries
from common.data.index import index_dataset
from common.files.artifacts import ArtifactError
from common.molecules.mapped_smiles import from_mapped_smiles
from common.processes.slices import cut_into_slices
from common.selection.clustering import cluster_butina, compute_rmsd_matrix

if typing.TYPE_CHECKING:  # a worker of 003 needs no torch
    from common.forcefields.tensors import ParameterizedMolecules

VERSION = 1
"""Raised whenever the same input and settings would give another output."""

MIN_HEAVY_ATOMS = 3
"""Molecules with fewer are superposed with their hydrogens. One heavy atom always lies on itself and two differ by no
more than half of the stretch of their bond: by them alone, all conformers of water or methanol would be alike."""

MAX_CONFORMERS_PER_SHARD = 5_000
"""What a worker takes at once: small enough to share out, large enough that opening the data set costs nothing."""


@dataclasses.dataclass(frozen=True)
class KnownMolecules:
    """What stage 002 knows of each molecule, by mapped SMILES.

    Attributes:
        n_atoms: the number of atoms of those with parameters.
        failures: why the others have none.
        provenance: of the ``.pt`` file.
        molecules: all of it; None where only the rest is needed.
    """

    n_atoms: dict[str, int]
    failures: dict[str, str]
    provenance: dict[str, typing.Any]
    molecules: "ParameterizedMolecules | None" = None


@dataclasses.dataclass(frozen=True)
class SourceContents:
    """The rows of one source that are kept, and the account of those that are not.

    Attributes:
        rows: the rows of the data set that have parameters.
        n_confs: the number of conformers of each of ``rows``.
        n_molecules: the number of different molecules among ``rows``.
        before: counts of ``entries``, ``molecules`` and ``conformers`` in the input.
        left_out: the mapped SMILES of the molecules without parameters, by reason.
        left_out_counts: their ``entries`` and ``conformers``, by reason.
    """

    rows: list[int]
    n_confs: list[int]
    n_molecules: int
    before: dict[str, int]
    left_out: dict[str, list[str]]
    left_out_counts: dict[str, dict[str, int]]

    @property
    def slices(self) -> list[list[int]]:
        return cut_into_slices(self.rows, self.n_confs, MAX_CONFORMERS_PER_SHARD)


def read_known_molecules(path: str | os.PathLike) -> KnownMolecules:
    """What the ``.pt`` file of stage 002 says of each molecule.

    Raises:
        FileNotFoundError, ValueError: as ``common.forcefields.parameter_file.load_parameters``.
    """
    from common.forcefields.parameter_file import load_parameters
    from common.forcefields.stacking import count_atoms

    molecules = load_parameters(path)
    n_atoms = count_atoms(molecules.topologies)
    return KnownMolecules(n_atoms, molecules.failures, molecules.provenance, molecules)


def examine_source(folder: str | os.PathLike, known: KnownMolecules) -> SourceContents:
    """Finds the rows of a data set whose molecules have parameters.

    Raises:
        ValueError: stage 002 has not seen a molecule, its number of atoms differs from the data's, or no row is left.
    """
    rows = index_dataset(folder)
    kept = []
    left_out: dict[str, list[str]] = collections.defaultdict(list)
    left_out_counts: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.smiles in known.n_atoms:
            if not row.fits(known.n_atoms[row.smiles]):
                raise ArtifactError(
                    f"{folder}: row {row.row}, {row.smiles}, has {row.n_confs} energies and {row.n_coords} "
                    f"coordinates, but its parameters are for {known.n_atoms[row.smiles]} atoms",
                    "raw data",
                    "parameters",
                )
            kept.append(row)
        elif row.smiles in known.failures:
            reason = known.failures[row.smiles]
            left_out[reason].append(row.smiles)
            counts = left_out_counts.setdefault(reason, {"entries": 0, "conformers": 0})
            counts["entries"] += 1
            counts["conformers"] += row.n_confs
        else:
            raise ArtifactError(
                f"{folder}: row {row.row}, {row.smiles}: this molecule is in the data, but not in the parameters, "
                "not even among those that have none",
                "parameters",
            )
    n_molecules = len({row.smiles for row in rows})
    if not kept:
        reasons = "; ".join(list(left_out)[:3])
        raise ValueError(f"{folder}: none of its {n_molecules} molecules has parameters ({reasons})")
    return SourceContents(
        rows=[row.row for row in kept],
        n_confs=[row.n_confs for row in kept],
        n_molecules=len({row.smiles for row in kept}),
        before={"entries": len(rows), "molecules": n_molecules, "conformers": sum(row.n_confs for row in rows)},
        left_out={reason: sorted(set(names)) for reason, names in left_out.items()},
        left_out_counts=left_out_counts,
    )


def select_superposed_atoms(smiles: str) -> list[int]:
    """The atoms by which conformers are compared: the heavy ones, or all where those are fewer than MIN_HEAVY_ATOMS."""
    atomic_nums = [atom.GetAtomicNum() for atom in from_mapped_smiles(smiles).GetAtoms()]
    heavy = [i for i, number in enumerate(atomic_nums) if number > 1]
    return heavy if len(heavy) >= MIN_HEAVY_ATOMS else list(range(len(atomic_nums)))


def select_conformers(entry: Entry, threshold: float) -> list[int]:
    """The centres of an entry's clusters of like conformers, in ascending order: a trajectory stays in order.

    Args:
        entry: conformers of one molecule.
        threshold: [Angstrom] RMSD at which two conformers are still neighbours.
    """
    coords = entry.coords[:, select_superposed_atoms(entry.smiles)]
    try:
        rmsd = compute_rmsd_matrix(coords)
    except ValueError as error:
        raise ValueError(f"{entry.smiles} ({entry.entry}): {error}") from error
    return sorted(cluster[0] for cluster in cluster_butina(rmsd, threshold))


def write_filtered_shard(
    folder: str | os.PathLike, threshold: float | None, rows: collections.abc.Sequence[int], path: pathlib.Path
) -> dict[str, int]:
    """Writes some rows of a data set to a shard, thinned where a threshold is given.

    Args:
        folder: the data set that is read.
        threshold: [Angstrom] as for :func:`select_conformers`; None keeps all conformers.
        rows: which rows.
        path: the shard.

    Returns:
        ``conformers_read``, ``conformers_kept``, and ``single_conformer_entries``, the number of entries left with one.
    """
    n_read, n_kept = [], []
    with ShardWriter(path) as shard:
        for entry in read_entries(open_dataset(folder), rows):
            kept = entry
            if threshold is not None:
                centres = select_conformers(entry, threshold)
                kept = entry.select(centres) if len(centres) < entry.n_confs else entry
            shard.write(kept)
            n_read.append(entry.n_confs)
            n_kept.append(kept.n_confs)
    return {
        "conformers_read": sum(n_read),
        "conformers_kept": sum(n_kept),
        "single_conformer_entries": n_kept.count(1),
    }
