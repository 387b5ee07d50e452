"""Data sets in descent's schema."""

import pytest

from common.own_data.records import InputError
from tests.own_data.checks import check_same, read_all
from tests.own_data.samples import read_samples, write_descent

SAMPLES = read_samples()


def test_the_same_numbers_arrive(tmp_path):
    write_descent(tmp_path / "mine", SAMPLES)
    found = read_all(tmp_path / "mine")
    assert len(found) == len(SAMPLES)
    for entry, expected in zip(found, SAMPLES.values(), strict=True):
        check_same(entry, expected, 1e-9)


def test_damage_is_named(tmp_path):
    write_descent(tmp_path / "mine", SAMPLES)
    [path] = (tmp_path / "mine").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged data set"):
        read_all(tmp_path / "mine")
