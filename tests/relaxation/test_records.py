"""Records give rows of plain values."""

from common.relaxation.records import Measure, ParameterGeometry, RelaxedGroup


def test_a_row_for_each_candidate_and_measure():
    measures = {"a": {"tfd": Measure(0.1, (0.05, 0.2))}, "b": {"tfd": Measure(None, None)}}
    group = RelaxedGroup(
        "test", "minima", 1, 1, 2, {"a": 0, "b": 3}, measures, {"b": {"tfd": Measure(-0.5, (-0.6, -0.4))}}
    )
    first, second = group.list_rows()
    assert (first["candidate"], first["value"], first["low"], first["high"], first["change"]) == (
        "a",
        0.1,
        0.05,
        0.2,
        None,
    )
    assert (second["value"], second["n_not_relaxed"]) == (None, 3)
    assert (second["change"], second["change_low"], second["change_high"]) == (-0.5, -0.6, -0.4)


def test_a_row_has_one_plain_value_for_each_candidate():
    row = ParameterGeometry("Bonds", "[*:1]~[*:2]", 2, 9, {"a": 0.01}, {"a": 0.02}).to_row()
    assert row == {
        "type": "Bonds",
        "smirks": "[*:1]~[*:2]",
        "n_molecules": 2,
        "n_coordinates": 9,
        "mean a": 0.01,
        "rms a": 0.02,
    }
