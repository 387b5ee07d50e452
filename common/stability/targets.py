"""What is learnt towards: observables and what their means should be."""

import collections.abc

from common.observables.deviations import Deviation
from common.replicas.reference import Reference
from common.replicas.setup import ObservableSettings, compute_mean, make_observable
from common.stability.learning import Target


def make_targets(
    weights: collections.abc.Mapping[str, float],
    reference: Reference,
    deviations: collections.abc.Sequence[Deviation],
    settings: ObservableSettings,
) -> dict[str, Target]:
    """The observables that are learnt from, by name, with their means over the known part of the reference."""
    targets = {}
    for name, weight in weights.items():
        if weight > 0.0:
            observable = make_observable(name, reference, deviations, settings)
            targets[name] = Target(observable, compute_mean(observable, reference.get_coords(False)), weight)
    return targets
