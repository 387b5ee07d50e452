"""``parameters.csv``: a row for each trained value, with its names, values and what the data say of it."""

import csv

import numpy
import pytest
import torch

from common.fitting.parameter_table import COLUMNS, write_parameter_table
from common.fitting.uncertainty import Uncertainty
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Column, build_trainable
from common.smirnoff.assignment import build_potentials
from common.smirnoff.offxml import read_force_field
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.statistics import Statistics
from tests.helpers import ROOT


@pytest.fixture
def records(tmp_path) -> list[dict[str, str]]:
    """The table of the example's bonds, every value 1 % up; the first correlated with the second."""
    source = read_force_field(ROOT / "example" / "starter.offxml")
    force_field = TensorForceField(tuple(build_potentials(source)))
    molecules = ParameterizedMolecules(force_field, {}, {}, {"offxml": source.text})
    trainable = build_trainable(force_field, {"Bonds": {"k": Column(), "length": Column()}})
    n = len(trainable.names)
    fitted = trainable.to_force_field(1.01 * trainable.to_values(force_field))
    exercise = {"Bonds": torch.arange(n).reshape(-1, 2)}
    statistics = Statistics(
        Linearization(force_field), torch.zeros(0), {}, {}, {"train": exercise}, {}, {}, "", 1, 0.0, 0.0, False
    )
    uncertainty = Uncertainty(
        standard_error=numpy.where(numpy.arange(n) == 1, numpy.inf, 0.125),
        is_determined=numpy.arange(n) != 1,
        is_at_limit=numpy.arange(n) == 2,
        partner=numpy.where(numpy.arange(n) == 0, 1, -1),
        correlation=numpy.where(numpy.arange(n) == 0, -0.95, 0.0),
        sigma_energy=1.0,
        sigma_forces=1.0,
    )
    widths = numpy.where(numpy.arange(n) == 0, 100.0, numpy.nan)
    path = tmp_path / "parameters.csv"
    write_parameter_table(path, trainable, fitted, statistics, molecules, widths, uncertainty)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_names_its_parameter(records):
    source = read_force_field(ROOT / "example" / "starter.offxml")
    bonds = source.sections["Bonds"].parameters
    assert tuple(records[0]) == COLUMNS
    assert [record["column"] for record in records] == ["k", "length"] * len(bonds)
    assert [record["smirks"] for record in records[::2]] == [bond.smirks for bond in bonds]
    assert [record["id"] for record in records[::2]] == [bond.id for bond in bonds]
    assert {record["mult"] for record in records} == {""}


def test_values_are_before_and_after_to_the_last_bit(records):
    for record in records:
        assert float(record["fitted"]) == pytest.approx(1.01 * float(record["initial"]), rel=1e-15)
        assert repr(float(record["initial"])) == record["initial"]
        assert "angstrom" in record["unit"]


def test_what_the_data_say_stands_beside(records):
    first, second, third = records[:3]
    assert (first["standard_error"], first["prior_width"], first["determined"], first["at_limit"]) == (
        "0.125", "100", "yes", "no",
    )  # fmt: skip
    assert (first["correlated_with"], first["correlation"]) == (f"{second['id']} length", "-0.950")
    assert (second["standard_error"], second["prior_width"], second["determined"]) == ("", "", "no")
    assert second["correlated_with"] == second["correlation"] == ""
    assert third["at_limit"] == "yes"
    assert [(r["n_molecules"], r["n_conformers"]) for r in records[:4]] == [("0", "1")] * 2 + [("2", "3")] * 2
