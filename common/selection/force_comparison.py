"""Quantum forces against those of the force field that is to be fitted: a sign or a unit that is wrong shows at once.

A force field that is worth fitting gets the stretched bonds of a distorted geometry roughly right. So its forces
correlate with quantum forces wherever these are large, and are about as large.
"""

import collections.abc
import os

import numpy
import torch

from common.data.dataset import Entry, open_dataset, read_entries
from common.forcefields.energy import compute_forces
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField, TensorTopology
from common.plausibility.checks import find_doubts
from common.plausibility.doubts import Doubt

MAX_ENTRIES = 200
"""Compared of each source, evenly chosen: enough to see what concerns many, in a second or two."""

MAX_CONFS = 8

MIN_FORCE = 8.0
"""[kcal/mol/Angstrom] Root mean square of a conformer's quantum forces below which the force field's errors count."""

OPPOSITE = -0.6
"""Correlation below which the sign is wrong; 0.85 is usual, -0.2 the worst with a good force field."""

MIN_CORRELATION = 0.6
"""For the ratio of the sizes to mean something."""

PLAUSIBLE = (0.25, 2.6)
"""Quantum forces over those of the force field; correct data have 0.5 to 1.5, kJ/mol 2.9 and more mostly."""


def examine_entries(
    folder: str | os.PathLike, rows: collections.abc.Sequence[int], molecules: ParameterizedMolecules
) -> tuple[dict[str, dict[str, str]], int]:
    """Doubts by the name of the entry, of some rows of a data set, and how many rows were looked at.

    To the checks of ``common.plausibility`` comes the comparison with the force field.

    Args:
        folder: the data set.
        rows: those whose molecules have parameters.
        molecules: the parameters.
    """
    chosen = numpy.unique(numpy.linspace(0, len(rows) - 1, min(len(rows), MAX_ENTRIES)).astype(int))
    doubts = {}
    for entry in read_entries(open_dataset(folder), [rows[i] for i in chosen]):
        found = find_doubts(entry.smiles, entry.coords, entry.energy, entry.energy_offset, entry.forces)
        for doubt in () if found else compare_forces(entry, molecules.topologies[entry.smiles], molecules.force_field):
            found[doubt.kind] = doubt.text
        if found:
            doubts[entry.entry or entry.smiles] = found
    return doubts, len(chosen)


def compare_forces(entry: Entry, topology: TensorTopology, force_field: TensorForceField) -> list[Doubt]:
    """Doubts about sign and unit of an entry's forces.

    Args:
        entry: conformers with quantum forces; without any there is nothing to compare.
        topology: of its molecule.
        force_field: the parameters.
    """
    if not entry.has_forces:
        return []
    sizes = numpy.sqrt((entry.forces**2).mean((1, 2)))
    conformers = numpy.flatnonzero(sizes > MIN_FORCE)[:MAX_CONFS]
    if not len(conformers):
        return []
    coords = torch.from_numpy(numpy.ascontiguousarray(entry.coords[conformers]))
    classical = compute_forces(topology, force_field, coords).numpy()
    quantum = entry.forces[conformers]
    product, squares = float((quantum * classical).sum()), (float((quantum**2).sum()), float((classical**2).sum()))
    correlation = product / max((squares[0] * squares[1]) ** 0.5, 1e-300)
    ratio = (squares[0] / max(squares[1], 1e-300)) ** 0.5
    seen = f"they correlate by {correlation:.2f} with the force field's, and are {ratio:.2g} times as large"
    if correlation < OPPOSITE:
        return [Doubt("gradients", seen)]
    if correlation > MIN_CORRELATION and not PLAUSIBLE[0] < ratio < PLAUSIBLE[1]:
        return [Doubt("kJ/mol" if PLAUSIBLE[1] < ratio < 8.0 else "force unit", seen)]
    return []
