"""Stage 044: rates, report, data; from molecules whose worth is known."""

import dataclasses
import json

import numpy
import pytest

from common.data.dataset import open_dataset, read_entries
from common.data.molecule_database import Molecule, read_database, write_database
from tests.generators.made_up import make_geometry
from tests.stages.generator_runs import SMILES, get_error, make_database, run, run_well

SCRIPT = "044-filter-generated.py"

NOVEL = ("CCCO", "CC(=O)C", "FCC#N")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with a database: 6 molecules seen, 2 held out, 3 novel, 1 twice, 2 that are none; 3 were given up."""
    folder = tmp_path_factory.mktemp("filter")
    make_database(folder / "molecules.db")
    run_folder = folder / "runs" / "one"
    (run_folder / "generated").mkdir(parents=True)
    (run_folder / "config.json").write_text(json.dumps({"input": str(folder / "molecules.db")}))
    rows = {"train": list(range(1, 19)), "validation": [19, 20], "test": [21, 22, 23, 24]}
    (run_folder / "splits.json").write_text(json.dumps(rows))
    known = [*SMILES[:6], SMILES[20], SMILES[23], *NOVEL, SMILES[1]]
    molecules = []
    for number, smiles in enumerate(known):
        own = make_geometry(smiles, seed=number + 5)
        targets = {"gap": 5.0 if number % 2 else 8.0, "composition": "C2H6O"}
        molecules.append(Molecule(own.numbers, own.coords, data={"targets": targets, "number": number}))
    broken = dataclasses.replace(molecules[2], numbers=molecules[2].numbers[:-1], coords=molecules[2].coords[:-1])
    apart = dataclasses.replace(molecules[0], coords=molecules[0].coords * 3.0)
    metadata = {"settings": {"seed": 0}, "blocks": {"0": 3}}
    write_database(run_folder / "generated" / "1.db", [*molecules, broken, apart], {}, metadata)
    return folder


@pytest.fixture(scope="module")
def filtered(folder):
    output = folder / "filtered"
    options = ("--n-relaxed", "4", "--n-workers", "1", "--force-field", "example/starter.offxml")
    said = run_well(SCRIPT, "--input", folder / "runs" / "one" / "generated" / "1.db", "--output", output, *options)
    return output, said


def test_rates_stand_beside_those_of_the_training_data_with_intervals(filtered):
    output, said = filtered
    rates = json.loads((output / "metrics.json").read_text())["rates"]
    counts = {name: (rate["generated"]["count"], rate["generated"]["total"]) for name, rate in rates.items()}
    assert counts == {"valid": (12, 17), "unique": (11, 12), "unseen": (5, 11), "novel": (3, 11)}
    assert (rates["valid"]["data"]["count"], rates["valid"]["data"]["total"]) == (18, 18)
    low, high = rates["valid"]["generated"]["interval"]
    assert 0.4 < low < 12 / 17 < high < 0.9
    assert "0.706 (0.469 to 0.867)" in said
    assert "found again" in said
    assert "2 of 4" in said


def test_the_filtered_database_holds_what_was_asked_for_with_flags(filtered, folder, tmp_path):
    molecules = read_database(filtered[0] / "filtered.db").molecules
    assert len(molecules) == 11
    assert sum(one.data["novel"] for one in molecules) == 3
    assert all(one.smiles and one.data["unique"] and one.data["targets"] for one in molecules)
    options = ("--flags", "unique", "novel", "--n-relaxed", "0", "--force-field", "", "--n-workers", "1")
    run_well(SCRIPT, "--input", folder / "runs" / "one" / "generated" / "1.db", "--output", tmp_path / "n", *options)
    assert {one.smiles for one in read_database(tmp_path / "n" / "filtered.db").molecules} == {
        "CCCO",
        "CC(C)=O",
        "N#CCF",
    }


def test_aims_are_compared_with_what_came_of_them(filtered):
    aims = json.loads((filtered[0] / "metrics.json").read_text())["aims"]
    gaps = {aim["target"]: aim for aim in aims if aim["name"] == "gap"}
    assert set(gaps) == {"5", "8"}
    assert all(aim["quartiles"][0] <= aim["quartiles"][1] <= aim["quartiles"][2] for aim in gaps.values())
    (composition,) = (aim for aim in aims if aim["name"] == "composition")
    assert (composition["hit"]["count"], composition["hit"]["total"]) == (1, 14)  # ethanol, of all finished
    assert composition["in_data"] == pytest.approx(2 / 18)  # ethanol and dimethyl ether


def test_relaxations_are_a_data_set_that_002_takes(filtered, tmp_path):
    entries = list(read_entries(open_dataset(filtered[0] / "data-raw" / "generated")))
    assert 1 <= len(entries) <= 4
    assert all(entry.n_confs >= 2 for entry in entries)
    assert all(numpy.abs(entry.forces[0]).max() > numpy.abs(entry.forces[-1]).max() for entry in entries)
    done = run_well(
        "002-parameterize.py", "--input", filtered[0] / "data-raw", "--force-field", "example/starter.offxml",
        "--output", tmp_path / "starter.pt", "--n-workers", "1",
    )  # fmt: skip
    assert f"{len(entries)} molecules parameterised, 0 failed" in done


def test_the_report_is_one_page_with_figures_and_drawings(filtered):
    page = (filtered[0] / "report.html").read_text()
    assert page.count("data:image/svg+xml") >= 3 + 11
    assert "Coverage by starter.offxml" in page
    assert "the same molecule after" in page
    assert "<script" not in page
    figures = {path.name for path in (filtered[0] / "figures").iterdir()}
    assert figures == {"sizes.svg", "groups.svg", "target-gap.svg", "molecules.svg"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "nowhere.db"], "nowhere.db"),
        (["--allowed-charges"], "allowed"),
        (["--force-field", "nowhere.offxml"], "no force field file"),
        (["--timeout", "0"], "timeout = 0.0: must be greater than 0"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line(options, message, folder, tmp_path):
    words = ["--input", folder / "runs" / "one" / "generated" / "1.db", "--output", tmp_path / "out", *options]
    done = run(SCRIPT, *words)
    assert message in get_error(done)


def test_a_database_outside_of_a_run_says_what_it_is_compared_with(folder, tmp_path):
    source = folder / "runs" / "one" / "generated" / "1.db"
    (tmp_path / "elsewhere.db").write_bytes(source.read_bytes())
    options = (
        "--input",
        tmp_path / "elsewhere.db",
        "--output",
        tmp_path / "out",
        "--n-relaxed",
        "0",
        "--n-workers",
        "1",
    )
    assert "say with --run" in get_error(run(SCRIPT, *options))
    said = run_well(SCRIPT, *options, "--compare", folder / "molecules.db", "--force-field", "")
    assert "0 of 0" in said
    said = run_well(SCRIPT, *options, "--run", folder / "runs" / "one", "--force-field", "")
    assert "2 of 4" in said
