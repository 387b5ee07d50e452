"""The card says what the summary and the provenance say."""

from common.data.dataset import read_provenance
from common.files.plain import write_json
from common.fitting.model_card import WITHOUT_LICENSE, DataSource, describe_data, format_model_card
from tests.helpers import make_entries, write_dataset

SUMMARY = {
    "splits": {
        "train": {
            "n_molecules": 5, "n_conformers": 50, "loss_energy_initial": 9.0, "loss_energy_final": 4.0,
            "loss_forces_initial": 100.0, "loss_forces_final": 25.0,
        },
        "test": {"n_molecules": 0, "n_conformers": 0},
    },
    "warnings": ["no test molecules of gen2-opt"],
}  # fmt: skip


def test_figures_and_warnings_stand_in_the_card():
    sources = [DataSource("mine", {"molecules": 5, "conformers": 50}, "CC BY 4.0", 2)]
    text = format_model_card(["fitted by 004-train.py"], sources, SUMMARY, 3, 40)
    assert "| mine | 5 | 50 | CC BY 4.0 | 2 |" in text
    assert "| train | 5 | 50 | 3.00 | 2.00 | 10.00 | 5.00 |" in text
    assert "| test |" not in text
    assert "- 3 of 40 trained values are not determined" in text
    assert "- no test molecules of gen2-opt" in text


def test_data_sets_say_what_they_are(tmp_path, parity_energies):
    write_dataset(tmp_path / "mine", make_entries(parity_energies[:2], 3))
    assert describe_data(tmp_path) == [DataSource("mine", {}, WITHOUT_LICENSE, 0)]
    provenance = {**read_provenance(tmp_path / "mine"), "license": "CC0", "counts": {"after": {"molecules": 2}}}
    write_json(tmp_path / "mine" / "provenance.json", {**provenance, "doubts": {"mine/1": {"bohr": "long"}}})
    assert describe_data(tmp_path) == [DataSource("mine", {"molecules": 2}, "CC0", 1)]
