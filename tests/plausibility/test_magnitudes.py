"""Forces as such."""

import numpy

from common.plausibility.magnitudes import MAX_FORCE, check_magnitudes, compute_torque_ratio
from tests.plausibility.samples import read_example


def test_real_forces_have_no_torque():
    ratios = [compute_torque_ratio(entry.coords, entry.forces) for entry in read_example()]
    assert max(ratio for ratio in ratios if ratio is not None) < 0.02


def test_forces_of_another_orientation_and_absurd_ones():
    entry = max(read_example(), key=lambda one: one.n_confs)
    assert check_magnitudes(entry.coords, entry.forces) == []
    [doubt] = check_magnitudes(entry.coords, entry.forces[:, :, [1, 2, 0]])
    assert doubt.kind == "orientation"
    forces = entry.forces.copy()
    forces[0] *= 2.0 * MAX_FORCE / numpy.linalg.norm(forces[0], axis=-1).max()
    [doubt] = check_magnitudes(entry.coords, forces)
    assert doubt.kind == "absurd forces"
    assert f"1 of {entry.n_confs} conformers" in doubt.text


def test_two_atoms_have_no_torque_to_speak_of():
    assert compute_torque_ratio(numpy.zeros((3, 2, 3)), numpy.ones((3, 2, 3))) is None
