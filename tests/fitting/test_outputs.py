"""What a fit writes: losses that are those of the objective."""

import pytest

from common.fitting.objective import build_objective
from common.fitting.outputs import compute_losses, summarise


@pytest.fixture(scope="module")
def objectives(valence):
    return {split: build_objective(valence.statistics, split, force_weight=0.5) for split in ("train", "validation")}


def test_losses_are_those_of_each_split(valence, objectives):
    losses = compute_losses(objectives, valence.truth)
    assert set(losses) == {"train", "validation"}
    for split, objective in objectives.items():
        energy, forces = (part.item() for part in objective.compute_parts(valence.truth))
        assert losses[split] == {
            "loss": pytest.approx(energy + 0.5 * forces),
            "loss_energy": pytest.approx(energy),
            "loss_forces": pytest.approx(forces),
            "rmse_energy": pytest.approx(energy**0.5),
            "rmse_forces": pytest.approx(forces**0.5),
        }
    # of the noise that the data were made with; energies relative to a mean over 8 have 7/8 of its variance
    assert losses["train"]["rmse_energy"] == pytest.approx(0.5 * (7 / 8) ** 0.5, rel=0.1)
    assert losses["train"]["rmse_forces"] == pytest.approx(3.0, rel=0.02)


def test_the_summary_counts_and_compares(valence, objectives, fitted):
    fields = {"initial": valence.molecules.force_field, "final": valence.truth, "optimum": fitted}
    summary = summarise(valence.statistics, objectives, fields, {"seconds_fit": 1.5})
    assert summary["loss_final"] == pytest.approx(objectives["train"].compute_loss(valence.truth).item())
    assert summary["excess_over_optimum"] == pytest.approx(summary["loss_final"] / summary["loss_optimum"] - 1.0)
    assert summary["seconds_fit"] == 1.5
    assert summary["prior_strengths"] == {}
    train, test = summary["splits"]["train"], summary["splits"]["test"]
    assert train["n_conformers"] == 8 * train["n_entries"]
    assert train["n_entries"] + summary["splits"]["validation"]["n_entries"] == 99
    assert test == dict.fromkeys(("n_entries", "n_molecules", "n_conformers", "n_energies", "n_forces"), 0)
    assert train["loss_energy_final"] + 0.5 * train["loss_forces_final"] == pytest.approx(summary["loss_final"])
