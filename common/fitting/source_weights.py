"""What the entries of each source weigh in the loss: their energies and their forces, each apart if need be."""

import collections.abc
import typing

from common.sufficient_statistics.statistics import FoldStatistics, GroupStatistics


class PartWeights(typing.NamedTuple):
    """What an entry's energies and its forces weigh."""

    energy: float
    forces: float


SourceWeights = collections.abc.Mapping[str, float] | collections.abc.Mapping[str, PartWeights]
"""By source; a number weighs both parts, and sources that are not named weigh 1."""


def get_part_weights(weights: SourceWeights | None, source: str) -> PartWeights:
    """What the two parts of an entry of ``source`` weigh."""
    weight = (weights or {}).get(source, 1.0)
    return weight if isinstance(weight, PartWeights) else PartWeights(weight, weight)


def add_up_weights(
    weights: SourceWeights | None,
    groups: collections.abc.Iterable[tuple[str, GroupStatistics | FoldStatistics]],
) -> PartWeights:
    """The sum of the weights of all energies and of all forces: what the mean losses are divided by.

    Args:
        weights: of the sources.
        groups: the source of each group, and its sums.
    """
    energy, forces = 0.0, 0.0
    for source, group in groups:
        own = get_part_weights(weights, source)
        energy += own.energy * group.n_energies
        forces += own.forces * group.n_forces
    return PartWeights(energy, forces)


def check_source_weights(weights: SourceWeights, sources: collections.abc.Collection[str]) -> None:
    """Whether all weights are of sources that are there.

    Raises:
        ValueError: a weight is negative, or names a source that is not there.
    """
    for source in weights:
        if source not in sources:
            raise ValueError(f"source weight for {source!r}, which is not among the data: {', '.join(sorted(sources))}")
        if min(get_part_weights(weights, source)) < 0.0:
            raise ValueError(f"source weight of {source} is {weights[source]}, it must not be negative")
