"""What the tests of this room share."""

import pytest

from common.fitting.exact_fit import fit_exact
from common.forcefields.tensors import TensorForceField
from tests.fitting.problems import VALENCE


@pytest.fixture(scope="session")
def fitted(valence) -> TensorForceField:
    """The exact fit of ``valence``, without priors."""
    return fit_exact(*valence.build(), VALENCE).force_field
