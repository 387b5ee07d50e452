"""A reference and a potential that the tests of the room share; nothing changes them."""

import pytest

from tests.stability.systems import write_potential, write_reference


@pytest.fixture(scope="session")
def reference_path(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="session")
def potential_path(tmp_path_factory, reference_path):
    return write_potential(tmp_path_factory.mktemp("potential"), reference_path)
