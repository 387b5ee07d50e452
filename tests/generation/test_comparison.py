"""What molecules are made of, measured and compared."""

import numpy
import pytest

from common.generation.assessment import Examined, examine
from common.generation.comparison import GROUPS, compare_values, describe, estimate_mean
from common.molecules.perception import PerceptionSettings
from tests.generators.made_up import make_geometry


def test_molecules_are_described():
    examined = [examine(make_geometry(smiles), PerceptionSettings()) for smiles in ("CCO", "C1CC1", "CC(N)=O")]
    found = describe([*examined, Examined("radical")])
    assert found.sizes.tolist() == [9, 9, 9]
    assert found.heavy.tolist() == [3, 3, 4]
    assert found.elements == {"C": 7, "O": 2, "N": 1, "H": 17}
    assert found.rings == {3: 1}
    assert {name for name, rate in found.groups.items() if rate.count} == {"alcohol", "carbonyl", "amide"}
    assert set(found.groups) == set(GROUPS)
    assert found.bonds["C=O"].tolist() == pytest.approx([1.24], abs=0.06)  # ETKDG is rough
    assert len(found.bonds["C-C"]) == 1 + 3 + 1
    assert len(found.angles["C-C-C"]) == 3
    numpy.testing.assert_allclose(found.angles["C-C-C"], 60.0, atol=3.0)
    assert len(found.angles["H-C-H"]) == (3 + 1) + 3 + 3


def test_distributions_are_compared_where_there_are_enough_values():
    random = numpy.random.default_rng(0)
    data = {"C-H": random.normal(1.09, 0.01, 500), "C-C": random.normal(1.5, 0.02, 900), "C-F": numpy.ones(3)}
    generated = {"C-H": data["C-H"] + 0.05, "C-C": data["C-C"][:400], "C-F": numpy.ones(100)}
    found = {one.kind: one for one in compare_values(generated, data, 5)}
    assert list(found) == ["C-C", "C-H"]  # the most frequent in the data first
    assert found["C-H"].distance == pytest.approx(0.05, abs=1e-9)  # Wasserstein: how far it has to be moved
    assert found["C-H"].mean_generated - found["C-H"].mean_data == pytest.approx(0.05)
    assert found["C-C"].distance < 0.003
    assert [one.kind for one in compare_values(generated, data, 1)] == ["C-C"]


def test_means_have_students_interval():
    mean, interval = estimate_mean(numpy.array([1.0, 2.0, 3.0]))
    assert mean == 2.0
    assert interval == pytest.approx((2.0 - 4.3027 / 3**0.5, 2.0 + 4.3027 / 3**0.5), abs=1e-3)  # t = 4.3027, 2 d.o.f.
    assert estimate_mean(numpy.array([4.0]))[1] is None
