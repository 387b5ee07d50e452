"""Quantum forces beside a force field's: the example's data and mistakes in them."""

import dataclasses

import numpy
import pytest

from common.selection.force_comparison import compare_forces, examine_entries
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from tests.helpers import ROOT, write_dataset
from tests.plausibility.samples import read_example

ENTRIES = sorted(read_example(), key=lambda entry: -entry.n_confs)[:8]


@pytest.fixture(scope="module")
def molecules():
    smiles = sorted({entry.smiles for entry in ENTRIES})
    return parameterize(read_force_field(ROOT / "example" / "starter.offxml"), smiles, 1)


def list_kinds(molecules, factor: float) -> list[str]:
    return [
        doubt.kind
        for entry in ENTRIES
        for doubt in compare_forces(
            dataclasses.replace(entry, forces=factor * entry.forces),
            molecules.topologies[entry.smiles],
            molecules.force_field,
        )
    ]


def test_correct_forces_raise_no_doubt_and_wrong_ones_are_named(molecules):
    assert list_kinds(molecules, 1.0) == []
    assert set(list_kinds(molecules, -1.0)) == {"gradients"}
    assert len(list_kinds(molecules, -1.0)) >= 5
    assert set(list_kinds(molecules, 4.184)) == {"kJ/mol"}
    assert set(list_kinds(molecules, 23.06)) == {"force unit"}


def test_without_forces_there_is_nothing_to_compare(molecules):
    entry = dataclasses.replace(ENTRIES[0], forces=numpy.full_like(ENTRIES[0].forces, numpy.nan))
    assert compare_forces(entry, molecules.topologies[entry.smiles], molecules.force_field) == []


def test_entries_of_a_data_set_are_examined(molecules, tmp_path):
    wrong = [dataclasses.replace(entry, forces=-entry.forces) for entry in ENTRIES[:3]]
    write_dataset(tmp_path / "mine", [*wrong, *ENTRIES[3:]])
    doubts, n_examined = examine_entries(tmp_path / "mine", list(range(8)), molecules)
    assert n_examined == 8
    assert sorted(doubts) == sorted(entry.entry for entry in wrong)
    assert all("gradients" in found for found in doubts.values())
