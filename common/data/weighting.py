"""Which conformers count, and how much."""

import dataclasses

import numpy

from common.data.dataset import Entry
from common.units import GAS_CONSTANT


@dataclasses.dataclass(frozen=True)
class ConformerSelection:
    """Which conformers of an entry count, and how much; by default all alike.

    Attributes:
        energy_ceiling: [kcal/mol] conformers so much above the lowest of their entry are left out; None for all.
        boltzmann_temperature: [K] weights conformers by exp(-ΔE/RT) within their entry; None for equal weights.
    """

    energy_ceiling: float | None = None
    boltzmann_temperature: float | None = None


def weigh_conformers(entry: Entry, selection: ConformerSelection) -> tuple[Entry, numpy.ndarray]:
    """The conformers that count, and their weights, which add up to 1; all alike where there are no energies.

    Args:
        entry: all conformers.
        selection: which count.

    Returns:
        The entry with the conformers that count, and their weights, ``shape=(n_confs,)``.
    """
    if not entry.has_energies:
        return entry, numpy.full(entry.n_confs, 1.0 / entry.n_confs)
    relative = entry.energy - entry.energy.min()
    if selection.energy_ceiling is not None:
        keep = relative <= selection.energy_ceiling
        entry, relative = entry.select(keep), relative[keep]
    if selection.boltzmann_temperature is None:
        weights = numpy.ones_like(relative)
    else:
        weights = numpy.exp(-relative / (GAS_CONSTANT * selection.boltzmann_temperature))
    return entry, weights / weights.sum()
