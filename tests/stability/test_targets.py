"""Targets are the means of the known part."""

import torch

from common.replicas.reference import load_reference
from common.replicas.setup import DeviationSettings, ObservableSettings, make_deviations
from common.stability.targets import make_targets


def test_targets_are_means_over_what_may_be_known(reference_path):
    reference = load_reference(reference_path, 0.5)
    deviations = make_deviations(reference, DeviationSettings(0.6))
    weights = {"adf": 2.0, "instability": 1.0, "rdf": 0.0}
    targets = make_targets(weights, reference, deviations, ObservableSettings())
    assert set(targets) == {"adf", "instability"}
    adf = targets["adf"]
    assert adf.weight == 2.0
    known = adf.observable.compute(reference.get_coords(is_held_out=False)).mean(0)
    torch.testing.assert_close(adf.values, known, atol=1e-12, rtol=0)
    held_out = adf.observable.compute(reference.get_coords(is_held_out=True)).mean(0)
    assert (adf.values - held_out).abs().max() > 1e-6
