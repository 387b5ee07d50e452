"""Stage 043: targets, repeatability, interruptions, what is refused."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

import ase.io
import numpy
import pytest

from common.data.molecule_database import read_database, write_database
from common.generators.file import load_generator
from tests.helpers import ROOT
from tests.stages.generator_runs import get_error, make_database, run, run_well, train

SCRIPT = "043-generate.py"

COARSE = ("--grid-spacing", "0.2", "--temperature-term", "1", "--max-n-atoms", "8", "--n-workers", "1")
"""Untrained networks find all points of a grid likely: these are few."""


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate")
    make_database(folder / "molecules.db")
    return train(folder / "molecules.db", folder / "runs", "--n-epochs", "3", "--learning-rate", "0.02")


@pytest.fixture(scope="module")
def told_all(tmp_path_factory):
    """A generator that was always told everything."""
    folder = tmp_path_factory.mktemp("told")
    make_database(folder / "molecules.db")
    return train(folder / "molecules.db", folder / "runs", "--n-epochs", "1", "--condition-dropout", "0")


def generate(generator, output, *options):
    run_well(SCRIPT, "--run", generator, "--output", output, *COARSE, *options)
    return read_database(output)


def count_rows(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute("select count(*) from systems").fetchone()[0]


def is_same(a, b):
    return len(a.molecules) == len(b.molecules) and all(
        numpy.array_equal(one.coords, other.coords) and one.data == other.data
        for one, other in zip(a.molecules, b.molecules, strict=True)
    )


def test_every_row_has_its_targets_and_all_combinations_come(generator, tmp_path):
    options = ("--targets", "gap=5:8:2", "composition=C2H6O", "--n-molecules", "30")
    found = generate(generator, tmp_path / "a.db", *options)
    assert {one.data["targets"]["gap"] for one in found.molecules} == {5.0, 8.0}
    assert {one.data["targets"]["composition"] for one in found.molecules} == {"C2H6O"}
    numbers = [one.data["number"] for one in found.molecules]
    assert len(set(numbers)) == len(numbers) <= 60
    assert all((one.data["number"] < 30) == (one.data["targets"]["gap"] == 5.0) for one in found.molecules)
    assert found.metadata["settings"]["targets"] == ["gap=5:8:2", "composition=C2H6O"]
    assert sum(found.metadata["blocks"].values()) == 60 - len(found.molecules)


def test_the_same_seed_gives_the_same_in_any_number_of_processes_and_another_others(generator, tmp_path):
    options = ("--n-molecules", "260")  # two blocks
    first = generate(generator, tmp_path / "first.db", *options)
    assert is_same(first, generate(generator, tmp_path / "second.db", *options, "--n-workers", "2"))
    assert not is_same(first, generate(generator, tmp_path / "third.db", *options, "--seed", "1"))


def test_a_killed_generation_leaves_a_whole_database_that_goes_on(generator, tmp_path):
    options = ["--run", generator, "--n-molecules", "1024", *COARSE]
    output = tmp_path / "killed.db"
    command = [str(word) for word in [sys.executable, ROOT / SCRIPT, *options, "--output", output]]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        while not (output.exists() and count_rows(output)):
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    left = read_database(output)
    n_blocks = len(left.metadata["blocks"])
    assert 1 <= n_blocks <= 4
    assert len(left.molecules) + sum(left.metadata["blocks"].values()) == 256 * n_blocks
    run_well(SCRIPT, *options, "--output", output)
    assert is_same(read_database(output), generate(generator, tmp_path / "whole.db", "--n-molecules", "1024"))


def test_names_count_up(generator):
    for _ in range(2):
        run_well(SCRIPT, "--run", generator, "--n-molecules", "2", *COARSE)
    assert {path.name for path in (generator / "generated").iterdir()} == {"1.db", "2.db"}


def test_molecules_may_begin_with_atoms_that_are_there(generator, tmp_path):
    start = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.4]])
    ase.io.write(tmp_path / "start.xyz", start)
    options = ("--start", tmp_path / "start.xyz", "--start-available", "0", "--n-molecules", "20")
    for one in generate(generator, tmp_path / "started.db", *options).molecules:
        assert sorted(one.numbers[:2]) == [6, 8]
        assert numpy.linalg.norm(one.coords[0] - one.coords[1]) == pytest.approx(1.4)


def test_a_target_beyond_the_data_is_a_warning(generator, tmp_path):
    options = ("--run", generator, "--output", tmp_path / "far.db", "--n-molecules", "1", *COARSE)
    low, high = load_generator(generator / "generator.pt").ranges["gap"]
    said = run_well(SCRIPT, *options, "--targets", "gap=99")
    assert f"warning: gap = 99 eV is outside of the training data, {low:.3g} to {high:.3g} eV" in said


def test_a_generator_that_was_told_everything_wants_everything(told_all, tmp_path):
    options = ("--run", told_all, "--output", tmp_path / "told.db", *COARSE)
    error = get_error(run(SCRIPT, *options, "--targets", "gap=5"))
    assert "was always told composition: give targets" in error


def test_another_models_database_is_not_added_to(generator, told_all, tmp_path):
    generate(generator, tmp_path / "a.db", "--n-molecules", "2")
    for options, name in (((), "n_molecules 2, now 3"), (("--seed", "9"), "n_molecules 2, now 3")):
        error = get_error(
            run(SCRIPT, "--run", generator, "--output", tmp_path / "a.db", *COARSE, "--n-molecules", "3", *options)
        )
        assert name in error
    targets = ("--targets", "gap=5", "composition=C2H6O", "--n-molecules", "2")
    error = get_error(run(SCRIPT, "--run", told_all, "--output", tmp_path / "a.db", *COARSE, *targets))
    assert "was generated with generator" in error
    write_database(tmp_path / "mine.db", read_database(tmp_path / "a.db").molecules, {}, {})
    error = get_error(run(SCRIPT, "--run", generator, "--output", tmp_path / "mine.db", *COARSE))
    assert "holds other molecules than generated ones" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--targets", "gop=4"], "it knows gap, composition"),
        (["--targets", "composition=C2H6X"], "'X' in it is no element"),
        (["--targets", "composition=C2H6Cl"], "Cl is none of the types"),
        (["--targets", "gap=three"], "cannot be read"),
        (["--start", "nowhere.xyz"], "nowhere.xyz: no such file"),
        (["--grid-distance-min", "3"], "no point of the grid"),
        (["--output", "molecules.sdf"], "ends in .db"),
        (["--run", "."], "no run with a generator.pt here; run 042-train-generator.py"),
        (["--device", "cuda:7"], "GPU"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line(options, message, generator, tmp_path):
    words = ["--run", generator, "--output", tmp_path / "out.db", "--n-workers", "1", *options]
    assert message in get_error(run(SCRIPT, *words))
    assert not (tmp_path / "out.db").exists()
