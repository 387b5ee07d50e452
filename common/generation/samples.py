"""A small sample of a network in training: whether what it generates are molecules, and what was asked for.

A lower loss does not make a better generator; this shows which way it goes. It changes nothing of the training.
"""

from collections.abc import Mapping, Sequence

import numpy

from common.calculators.interface import CalculationError
from common.calculators.tight_binding import GFN2, TightBinding
from common.generation.sampling import Generated, Request, Sampler
from common.generators.conditions import Condition
from common.molecules.perception import PerceptionError, name_molecule, perceive_bonds
from common.units import EV_TO_KCAL_PER_MOL

COMPUTED = ("gap", "homo", "lumo")
"""Quantities whose value can be computed for a generated molecule, in eV, where the data have them by this method."""


def check_sample(
    sampler: Sampler,
    conditions: Sequence[Condition],
    values: Mapping[str, numpy.ndarray],
    n_samples: int,
    computed: Mapping[str, str],
) -> dict[str, float]:
    """Generates without targets, and with those of each condition alone, taken from molecules of the data.

    Args:
        sampler: of the network.
        conditions: that it knows.
        values: of each condition, for validation molecules, ``shape=(n_molecules, n_values)``.
        n_samples: molecules without targets; as many for each condition whose hits can be counted.
        computed: by name of a condition, the quantity of ``COMPUTED`` that tells whether it was met.

    Returns:
        by name: the fractions that are finished, valid, and unique among the valid; their mean number of atoms; for a
        composition the fraction that has it, for a computed quantity the mean absolute deviation from the target.
    """
    generated = list(sampler.generate(Request(i, {}) for i in range(n_samples)))
    names = [name for one in generated if (name := find_name(one))]
    found = {
        "finished": sum(one.finished for one in generated) / n_samples,
        "valid": len(names) / n_samples,
        "unique": len(set(names)) / max(1, len(names)),
        "atoms": float(numpy.mean([len(one.numbers) for one in generated])),
    }
    for condition in conditions:
        targets = numpy.resize(values[condition.name], (n_samples, *values[condition.name].shape[1:]))
        if condition.kind != "composition" and condition.name not in computed:
            continue
        aimed = list(sampler.generate(Request(i, {condition.name: targets[i]}) for i in range(n_samples)))
        if condition.kind == "composition":
            types = sampler.network.settings.types
            hits = [one.finished and has_composition(one.numbers, targets[one.number], types) for one in aimed]
            found[f"{condition.name} hit"] = float(numpy.mean(hits))
        else:
            reached = {one.number: compute_quantity(one, computed[condition.name]) for one in aimed if find_name(one)}
            deviations = [abs(value - targets[i, 0]) for i, value in reached.items() if value is not None]
            if deviations:
                found[f"{condition.name} deviation"] = float(numpy.mean(deviations))
    return found


def find_name(one: Generated) -> str | None:
    """The SMILES, stereochemistry left out, of a finished molecule; None where it is none."""
    try:
        return name_molecule(perceive_bonds(one.numbers, one.coords), ignore_isomerism=True) if one.finished else None
    except PerceptionError:
        return None


def has_composition(numbers: numpy.ndarray, counts: numpy.ndarray, types: Sequence[int]) -> bool:
    """Whether a molecule has so many atoms of each type."""
    return all(numpy.count_nonzero(numbers == type_) == count for type_, count in zip(types, counts, strict=True))


def compute_quantity(one: Generated, quantity: str) -> float | None:
    """One of ``COMPUTED`` [eV] at the geometry as it was generated; None where the SCF does not converge."""
    try:
        electrons = TightBinding(GFN2).compute_electronic_structure(one.numbers, one.coords, 0)
    except CalculationError:
        return None
    return float(getattr(electrons, quantity)) / EV_TO_KCAL_PER_MOL
