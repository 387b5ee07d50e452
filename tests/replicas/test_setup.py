"""Parts of a run made of settings."""

import pytest
import torch

from common.dynamics.langevin import Langevin
from common.dynamics.nose_hoover import NoseHoover
from common.dynamics.states import compute_temperature
from common.replicas.reference import load_reference
from common.replicas.setup import (
    KNOWN_OBSERVABLES,
    DeviationSettings,
    MotionSettings,
    ObservableSettings,
    compute_mean,
    draw_starts,
    make_deviations,
    make_integrator,
    make_observable,
)
from tests.stability.systems import write_reference


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return load_reference(write_reference(tmp_path_factory.mktemp("reference")), 0.5)


def test_tolerances_make_deviations(reference):
    (bond,) = make_deviations(reference, DeviationSettings(0.6, 1.2))
    assert (bond.tolerance, bond.far) == (0.6, 1.2)
    with pytest.raises(ValueError, match="nothing would ever fail"):
        make_deviations(reference, DeviationSettings(None))
    with pytest.raises(ValueError, match="the reference itself fails"):
        make_deviations(reference, DeviationSettings(0.01))
    with pytest.raises(ValueError, match="single molecule"):
        make_deviations(reference, DeviationSettings(0.6, 1.0, 1.2))


@pytest.mark.parametrize("name", ["instability", "rdf", "adf", "bond-lengths", "moments", "mean-bonds", "mean-angles"])
def test_observables_are_found_by_name(reference, name):
    deviations = make_deviations(reference, DeviationSettings(0.6))
    observable = make_observable(name, reference, deviations, ObservableSettings())
    mean = compute_mean(observable, reference.coords)
    torch.testing.assert_close(mean, observable.compute(reference.coords).mean(0), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", ["volume", "instability-contact", "rdf-x-y"])
def test_unknown_observables_are_named(reference, name):
    deviations = make_deviations(reference, DeviationSettings(0.6))
    with pytest.raises(ValueError, match="there is no observable"):
        make_observable(name, reference, deviations, ObservableSettings())
    assert "adf" in KNOWN_OBSERVABLES


def test_a_liquids_observable_needs_a_box(reference):
    deviations = make_deviations(reference, DeviationSettings(0.6))
    with pytest.raises(ValueError, match="periodic box"):
        make_observable("rdf-8-1", reference, deviations, ObservableSettings())


def test_integrators_are_found_by_name():
    masses = torch.ones(3)
    assert isinstance(make_integrator(MotionSettings("langevin", 1.0, 300.0), masses), Langevin)
    assert isinstance(make_integrator(MotionSettings("nose-hoover", 1.0, 300.0), masses), NoseHoover)


def test_starts_are_frames_of_their_part_with_thermal_velocities(reference):
    masses = reference.system.masses
    coords, velocities = draw_starts(reference, True, 40, 300.0, (1, "evaluation"), masses)
    pool = reference.get_coords(is_held_out=True)
    for frame in coords:
        assert (pool == frame).flatten(1).all(1).any()
    assert len({tuple(frame.flatten().tolist()) for frame in coords}) == 40
    assert (masses[:, None] * velocities).sum(1).abs().max() < 1e-10
    assert compute_temperature(velocities, masses, 3).mean().item() == pytest.approx(300.0, rel=0.12)
    again = draw_starts(reference, True, 40, 300.0, (1, "evaluation"), masses)
    assert torch.equal(again[0], coords)


def test_more_replicas_than_frames_start_twice_from_some(reference):
    coords, _ = draw_starts(reference, True, 70, 300.0, (1,), reference.system.masses)
    assert len(coords) == 70
