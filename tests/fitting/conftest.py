"""Made-up fits that the tests of this room share."""

import pytest

from common.fitting.exact_fit import fit_exact
from common.forcefields.tensors import TensorForceField
from tests.fitting.problems import VALENCE, WITH_VDW, Problem, make_problem


@pytest.fixture(scope="session")
def valence(tmp_path_factory, parity_molecules, parity_energies) -> Problem:
    """The valence terms of 99 molecules."""
    return make_problem(tmp_path_factory.mktemp("valence"), parity_molecules, parity_energies, VALENCE)


@pytest.fixture(scope="session")
def fitted(valence) -> TensorForceField:
    """The exact fit of ``valence``, without priors."""
    return fit_exact(*valence.build(), VALENCE).force_field


@pytest.fixture(scope="session")
def with_vdw(tmp_path_factory, parity_molecules, parity_energies) -> Problem:
    """Valence and Lennard-Jones terms of 60 molecules."""
    return make_problem(tmp_path_factory.mktemp("vdw"), parity_molecules, parity_energies[:60], WITH_VDW)
