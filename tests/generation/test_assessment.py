"""Rates, and what is counted as what."""

import time

import numpy
import pytest

from common.generation import assessment
from common.generation.assessment import (
    TIMED_OUT,
    Examined,
    Rate,
    assess,
    assess_reference,
    examine,
    examine_all,
    make_namer,
)
from common.generators.batches import Geometry
from common.molecules.perception import PerceptionSettings
from tests.generators.made_up import make_geometry

SLOW = 6.0
"""[Angstrom] A first atom out here makes the examination of a geometry take for ever, in these tests."""


def test_rates_have_wilsons_interval():
    """The published example: 0 of 10, and 8 of 10 (L. D. Brown et al., Statistical Science 16, 101, 2001)."""
    assert Rate(0, 10).interval == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Rate(8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert Rate(3, 4).value == 0.75
    assert (Rate(0, 0).value, Rate(0, 0).interval) == (None, None)


def test_a_molecule_is_examined():
    found = examine(make_geometry("C1CC1C#N"), PerceptionSettings())
    assert found.is_valid
    assert (found.smiles, found.flat, found.rings) == ("N#CC1CC1", "N#CC1CC1", (3,))
    assert found.mol.GetNumAtoms() == 10
    molecule = make_geometry("CO")
    broken = Geometry(molecule.numbers[:-1], molecule.coords[:-1])
    assert not examine(broken, PerceptionSettings()).is_valid


def examine_or_hang(task):
    geometries, settings = task
    if geometries[0].coords[0, 0] == SLOW:
        time.sleep(60.0)
    return [examine(geometry, settings) for geometry in geometries]


def test_a_search_that_goes_on_for_ever_costs_its_own_molecule(monkeypatch):
    monkeypatch.setattr(assessment, "CHUNK_SIZE", 2)
    monkeypatch.setattr(assessment, "_examine_chunk", examine_or_hang)
    molecules = [make_geometry(smiles) for smiles in ("C", "CO", "CN", "C#N", "CF")]
    slow = molecules[2].coords.copy()
    slow += numpy.array([SLOW, 0.0, 0.0]) - slow[0]
    slow[0, 0] = SLOW
    molecules[2] = Geometry(molecules[2].numbers, slow)
    found = examine_all(molecules, PerceptionSettings(), 1, 2.0, "test")
    assert [one.reason for one in found] == ["", "", TIMED_OUT, "", ""]
    assert found[3].flat == "C#N"


def make_examined(*names):
    return [Examined("radical") if name is None else Examined("", name, name.replace("@", "")) for name in names]


def test_each_molecule_is_counted_where_it_belongs():
    examined = make_examined("A", "B", "A", None, "C", "D", "D")
    found = assess(examined, 8, lambda one: one.smiles, seen={"A"}, held_out={"C", "X"})
    rates = {name: (rate.count, rate.total) for name, rate in found.rates.items()}
    assert rates == {"valid": (6, 8), "unique": (4, 6), "unseen": (3, 4), "novel": (2, 4)}
    assert found.reasons == {"radical": 1, "given up": 1}
    assert found.found == 1
    assert found.is_unique.tolist() == [True, True, False, False, True, True, False]
    assert found.is_novel.tolist() == [False, True, False, False, False, True, False]


def test_what_makes_two_molecules_the_same():
    left, right = Examined("", "C[C@H](O)F", "CC(O)F"), Examined("", "C[C@@H](O)F", "CC(O)F")
    assert make_namer(False, False)(left) != make_namer(False, False)(right)
    assert make_namer(False, True)(left) == make_namer(False, True)(right)
    assert make_namer(True, False)(left) == make_namer(True, False)(right) == "CC(O)F"


def test_the_data_are_held_to_the_same_check():
    examined = make_examined(*"ABCDEFGH", None, None)
    found = assess_reference(examined, lambda one: one.smiles, 5, numpy.random.default_rng(0))
    assert (found["valid"].count, found["valid"].total) == (8, 10)
    assert found["unique"].total == 5
    assert 1 <= found["unique"].count <= 5
