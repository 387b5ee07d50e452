"""A reference, a potential of it, and an evaluation; nothing changes them."""

import pytest

from common.replicas.reference import load_reference
from tests.replicas.findings import make_findings
from tests.stability.systems import write_potential, write_reference


@pytest.fixture(scope="session")
def made_up_reference(tmp_path_factory):
    return load_reference(write_reference(tmp_path_factory.mktemp("reference")), 0.5)


@pytest.fixture(scope="session")
def made_up_potential(tmp_path_factory, made_up_reference):
    return write_potential(tmp_path_factory.mktemp("potential"), made_up_reference.path)


@pytest.fixture(scope="session")
def findings(made_up_reference, made_up_potential):
    return make_findings(made_up_reference, made_up_potential)
