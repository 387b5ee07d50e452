"""Which conformers count, and how much."""

import numpy

from common.data.dataset import Entry
from common.units import GAS_CONSTANT


def weigh_conformers(
    entry: Entry, energy_ceiling: float | None, boltzmann_temperature: float | None
) -> tuple[Entry, numpy.ndarray]:
    """The conformers that count, and their weights, which add up to 1.

    Args:
        entry: all conformers.
        energy_ceiling: [kcal/mol] conformers so much above the lowest are left out; None for all.
        boltzmann_temperature: [K] weights conformers by exp(-ΔE/RT); None for equal weights.

    Returns:
        The entry with the conformers that count, and their weights, ``shape=(n_confs,)``.
    """
    relative = entry.energy - entry.energy.min()
    if energy_ceiling is not None:
        keep = relative <= energy_ceiling
        entry, relative = entry.select(keep), relative[keep]
    if boltzmann_temperature is None:
        weights = numpy.ones_like(relative)
    else:
        weights = numpy.exp(-relative / (GAS_CONSTANT * boltzmann_temperature))
    return entry, weights / weights.sum()
