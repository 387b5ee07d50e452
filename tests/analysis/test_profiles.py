"""Profiles show the errors that are reported."""

import numpy
import pytest

from common.analysis.profiles import build_profile
from common.relaxation.scans import Scan


def test_profiles_show_the_error_relative_to_the_mean():
    reference = numpy.array([3.0, 0.0, 1.0, 4.0])
    energies = {"one": reference + 100.0, "two": numpy.array([3.0, 0.0, 1.0, 8.0])}
    scan = Scan((0, 1, 2, 3), numpy.array([90.0, -180.0, 0.0, -90.0]))
    profile = build_profile(reference, energies, scan)
    assert profile.x == [-180.0, -90.0, 0.0, 90.0]
    assert profile.reference == [0.0, 4.0, 1.0, 3.0]
    assert profile.energies["one"] == pytest.approx(profile.reference)
    errors = numpy.array(profile.energies["two"]) - profile.reference
    assert errors == pytest.approx([-1.0, 3.0, -1.0, -1.0])  # 4 in one conformer, less its mean
    unordered = build_profile(reference, energies, None)
    assert unordered.x == [1.0, 2.0, 3.0, 4.0]
    assert unordered.reference == [0.0, 1.0, 3.0, 4.0]
    assert unordered.scanned is None
    assert build_profile(reference[:2], {}, None) is None
