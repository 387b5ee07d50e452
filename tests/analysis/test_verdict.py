"""Sentences about errors as people read them."""

from common.analysis.verdict import write_verdict


def make_group(split, before, after, n_molecules=40):
    candidates = {
        name: {"energy_rmse": energy, "force_rmse": force}
        for name, (energy, force) in (("initial", before), ("fitted", after))
    }
    return {"split": split, "source": "all", "n_molecules": n_molecules, "candidates": candidates}


def make_comparison(split, energy, forces):
    parts = {
        name: dict(zip(("change", "interval"), part, strict=True))
        for name, part in (("energy", energy), ("forces", forces))
    }
    return {"split": split, "before": "initial", "after": "fitted", **parts}


def test_a_better_fit_is_said_to_be_better_and_chance_to_be_chance():
    group = make_group("test", (2.0, 20.0), (2.1, 10.0))
    comparison = make_comparison("test", (0.05, [-0.02, 0.12]), (-0.5, [-0.6, -0.4]))
    text = write_verdict(group, comparison, "fitted").replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert text == (
        "On 40 molecules that the fit has not seen, the force error falls from 20.0 to 10.0 kcal/mol/Å (−50 %; 95 % "
        "interval −60 % to −40 %), and the energy error rises from 2.00 to 2.10 kcal/mol (+5.0 %; 95 % interval −2.0 % "
        "to +12 %), a change that may be chance."
    )


def test_errors_of_training_molecules_and_of_few_are_called_so():
    comparison = make_comparison("train", (None, None), (-0.5, None))
    text = write_verdict(make_group("train", (0.0, 20.0), (2.0, 10.0), 1), comparison, "fitted")
    assert text.startswith("On 1 molecule that it was fitted to (there are no others), the force error falls")
    assert "the energy error is 2.00 kcal/mol, 0 before" in text
    assert text.endswith("These are too few molecules to say how uncertain that is.")


def test_without_a_fit_the_errors_are_told():
    text = write_verdict(make_group("all", (0.0, 20.0), (2.0, 10.0)), None, "initial")
    assert text == (
        "On 40 molecules of the data, initial has a force error of 20.0 kcal/mol/Å and an energy error of 0 kcal/mol."
    )
