"""The sample of a network in training: counted as it should be."""

import types

import numpy
import pytest

from common.calculators.tight_binding import TightBinding
from common.generation import samples
from common.generation.samples import check_sample, compute_quantity, find_name, has_composition
from common.generation.sampling import Generated
from common.generators.conditions import Condition
from common.units import EV_TO_KCAL_PER_MOL
from tests.generators.made_up import make_geometry

TYPES = (1, 6, 8)


def make_generated(number, smiles, finished=True):
    own = make_geometry(smiles)
    return Generated(number, own.numbers, own.coords, finished)


class PreparedSampler:
    """Gives the same molecules whatever is asked for, and remembers what was."""

    network = types.SimpleNamespace(settings=types.SimpleNamespace(types=TYPES))

    def __init__(self):
        self.asked = []

    def generate(self, requests):
        for request, smiles in zip(requests, ("CCO", "COC", "CCO", "CC"), strict=True):
            self.asked.append(request)
            yield make_generated(request.number, smiles, finished=request.number != 3)


def test_names_are_those_of_finished_molecules():
    assert find_name(make_generated(0, "OCC")) == "CCO"
    assert find_name(make_generated(0, "OCC", finished=False)) is None
    ethane = make_geometry("CC")
    assert find_name(Generated(0, ethane.numbers[:-1], ethane.coords[:-1], True)) is None  # a radical


def test_compositions_are_exact():
    numbers = make_geometry("CCO").numbers
    assert has_composition(numbers, numpy.array([6.0, 2.0, 1.0]), TYPES)
    assert not has_composition(numbers, numpy.array([6.0, 2.0, 0.0]), TYPES)


def test_quantities_are_electronvolts():
    own = make_generated(0, "C=O")
    expected = TightBinding("GFN2-xTB").compute_electronic_structure(own.numbers, own.coords, 0)
    assert compute_quantity(own, "gap") == pytest.approx(expected.gap / EV_TO_KCAL_PER_MOL)
    assert (
        0.0
        < compute_quantity(own, "gap")
        == pytest.approx(compute_quantity(own, "lumo") - compute_quantity(own, "homo"))
    )


def test_a_sample_is_counted(monkeypatch):
    monkeypatch.setattr(samples, "compute_quantity", lambda one, quantity: 5.0 if one.number else None)
    sampler = PreparedSampler()
    conditions = (Condition("gap", quantity="gap"), Condition("formula", kind="composition"), Condition("qed"))
    values = {
        "gap": numpy.array([[4.0], [7.0]]),  # for the four in turn
        "formula": numpy.array([[6.0, 2.0, 1.0], [6.0, 1.0, 1.0]]),
        "qed": numpy.zeros((2, 1)),
    }
    found = check_sample(sampler, conditions, values, 4, {"gap": "gap"})
    assert found.pop("atoms") == pytest.approx((9 + 9 + 9 + 8) / 4)
    assert found == {
        "finished": 0.75,
        "valid": 0.75,
        "unique": pytest.approx(2 / 3),
        "gap deviation": pytest.approx((2.0 + 1.0) / 2),  # of molecules 1 and 2: 0 has no value, 3 is not finished
        "formula hit": 0.5,  # molecules 0 and 2; 1 has other numbers asked for
    }
    told = [set(request.targets) for request in sampler.asked]
    assert told == [set()] * 4 + [{"gap"}] * 4 + [{"formula"}] * 4  # nothing can tell whether qed was met
