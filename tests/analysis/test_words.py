"""Sentences about errors as people read them."""

from common.analysis.records import CandidateErrors, Comparison, GroupErrors, MoleculeErrors, RelativeChange
from common.analysis.words import describe_columns, describe_made_worse, find_made_worse, write_verdict


def make_errors(energy: float, force: float) -> CandidateErrors:
    return CandidateErrors(energy, None, force, None, *[0.0] * 6)


def make_group(split, before, after, n_molecules=40):
    return GroupErrors(
        source="all",
        split=split,
        n_entries=n_molecules,
        n_molecules=n_molecules,
        n_conformers=n_molecules,
        n_single_conformer_entries=0,
        n_energies=n_molecules,
        n_force_components=n_molecules,
        candidates={"initial": make_errors(*before), "fitted": make_errors(*after)},
    )


def make_comparison(split, energy, forces):
    return Comparison(split, "initial", "fitted", RelativeChange(*energy), RelativeChange(*forces))


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


def test_columns_are_described_in_words():
    columns = {
        "k": {"scale": 0.01, "lower": 0.0, "upper": None, "prior": 100.0},
        "length": {"scale": 1.0, "lower": 0.0, "upper": 5.0, "prior": None},
        "phase": {},
    }
    assert describe_columns(columns) == "k ≥ 0, scale 0.01, prior 100; length 0 to 5; phase"


def test_limits_on_one_side():
    assert describe_columns({"k": {"upper": 2.0}, "phase": {"lower": -1.0}}) == "k ≤ 2; phase ≥ -1"


def make_molecule(name: str, split: str, energy: tuple, force: tuple) -> MoleculeErrors:
    names = ("initial", "fitted")
    errors = [dict(zip(names, of, strict=True)) for of in (energy, force)]
    return MoleculeErrors(name, split, "one", 1, 1, *errors)


def test_molecules_that_a_fit_makes_worse_are_counted_and_the_worst_named():
    molecules = [
        make_molecule("CCO", "test", (1.0, 1.3), (10.0, 5.0)),
        make_molecule("CCN", "test", (1.0, 1.04), (10.0, 12.0)),
        make_molecule("CCC", "test", (None, None), (1.0, 2.0)),
        make_molecule("CO", "train", (1.0, 9.0), (1.0, 9.0)),
    ]
    found = find_made_worse(molecules, "test", "initial", "fitted")
    assert [(one.molecule, one.quantity) for one in found] == [("CCC", "force"), ("CCO", "energy"), ("CCN", "force")]
    assert describe_made_worse(found, 3) == (
        " Of these 3 molecules the fit makes some worse: 2 in force (most of all CCC, 1.00 to 2.00 kcal/mol/Å), and 1 "
        "in energy (most of all CCO, 1.00 to 1.30 kcal/mol)."
    )
    assert describe_made_worse([], 3) == ""


def test_only_what_there_is_is_spoken_of():
    group = make_group("test", (2.0, None), (1.0, None))
    text = write_verdict(group, make_comparison("test", (-0.5, None), (None, None)), "fitted")
    assert "force error" not in text
    assert "energy error falls from 2.00 to 1.00" in text
