"""Molecules given by SMILES as data to fit to: energies and forces on the way to a minimum of GFN2-xTB."""

import pathlib
import typing
from collections.abc import Sequence

from common.generation.assessment import examine
from common.generation.preparation import Failure, GeometrySettings, make_molecules
from common.generation.refinement import refine_all, write_ways
from common.generators.batches import Geometry
from common.molecules.perception import PerceptionSettings


def write_ways_of(
    folder: pathlib.Path,
    smiles: Sequence[str],
    max_force: float,
    n_workers: int,
    provenance: dict[str, typing.Any],
    seed: int = 0,
) -> list[str]:
    """Relaxes molecules from where MMFF94 leaves them, and writes a data set in place of what is there.

    Args:
        folder: of the data set.
        smiles: hydrogens implicit; molecules that cannot be embedded, or become others, are left out.
        max_force: [kcal/mol/Angstrom] at which a relaxation ends.
        n_workers: processes.
        provenance: plain values, e.g. ``stage``.
        seed: of the embedding.

    Returns:
        mapped SMILES of the entries.
    """
    settings = PerceptionSettings()
    made = [one for own in smiles for one in make_molecules(own, GeometrySettings(1, False, seed=seed))]
    geometries = [Geometry(one.numbers, one.coords) for one in made if not isinstance(one, Failure)]
    examined = [examine(geometry, settings) for geometry in geometries]
    valid = [i for i, one in enumerate(examined) if one.is_valid]
    geometries, examined = [geometries[i] for i in valid], [examined[i] for i in valid]
    refined = refine_all(geometries, examined, max_force, settings, n_workers)
    names = [f"{folder.name}/{i}" for i in range(len(examined))]
    return write_ways(folder, examined, refined, names, provenance)
