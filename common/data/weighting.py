"""Which conformers count, and how much."""

import numpy

from common.data.dataset import Entry
from common.sufficient_statistics.settings import PassSettings
from common.units import GAS_CONSTANT


def weigh_conformers(entry: Entry, settings: PassSettings) -> tuple[Entry, numpy.ndarray]:
    """The conformers that count, and their weights, which add up to 1."""
    relative = entry.energy - entry.energy.min()
    if settings.energy_ceiling is not None:
        keep = relative <= settings.energy_ceiling
        entry, relative = entry.select(keep), relative[keep]
    if settings.boltzmann_temperature is None:
        weights = numpy.ones_like(relative)
    else:
        weights = numpy.exp(-relative / (GAS_CONSTANT * settings.boltzmann_temperature))
    return entry, weights / weights.sum()
