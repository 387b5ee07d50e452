"""Stage 001 as a user runs it, on small archives with everything in them that can go wrong."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy
import pytest

from common.data.accounts import MAX_REASONS
from common.data.dataset import open_dataset, read_entries, read_provenance
from common.data.shards import reserve_output
from common.espaloma.entry import read_entry
from common.espaloma.writer import write_entry
from common.molecules.mapped_smiles import from_smiles
from tests.damages import REFUSED, change_graph, cut_graph, make_graph_a_web_page
from tests.helpers import ROOT

DATA = ROOT / "tests" / "data" / "heterograph"

N_GOOD = 260
"""Good entries beside the bad ones of a source, of which the stage tolerates one in twenty."""


def run(*arguments, expect: int = 0) -> subprocess.CompletedProcess:
    """Runs the stage; energies and forces of these entries are made up and would be doubted."""
    command = [sys.executable, str(ROOT / "001-convert-espaloma-data.py"), *map(str, arguments), "--doubts", "warn"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == expect, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result


def copy_sample(name: str, folder: pathlib.Path) -> pathlib.Path:
    shutil.copytree(DATA / name, folder, ignore=shutil.ignore_patterns("expected.json", "homograph.bin"))
    return folder


def write_water(folder: pathlib.Path, i: int, smiles: str = "O") -> pathlib.Path:
    """A made-up entry of two conformers that no other ``i`` has."""
    mol = from_smiles(smiles)
    coords = numpy.arange(float(mol.GetNumAtoms()))[None, :, None] + numpy.array([0.0, 0.01 * i, 0.1])
    coords = numpy.repeat(coords, 2, 0) * numpy.array([1.0, 1.1])[:, None, None]
    write_entry(folder, mol, coords, numpy.array([-76.0, -75.99]), 0.01 * coords)
    return folder


def snapshot(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def small_archive(tmp_path_factory) -> pathlib.Path:
    """All four sources, a few entries each, one of them moved to the duplicates."""
    archive = tmp_path_factory.mktemp("small") / "8150601"
    copy_sample("methanol-opt-path", archive / "gen2" / "3")
    copy_sample("ethanol", archive / "gen2-torsion" / "0")
    copy_sample("n-methylacetamide", archive / "spice-des-monomers" / "1")
    for i in range(5):
        write_water(archive / "spice-pubchem" / str(i), i)
    write_water(archive / "duplicated-isomeric-smiles-merge" / "2" / "gen2" / "3-4", 100)
    return archive


@pytest.fixture(scope="module")
def bad_archive(tmp_path_factory) -> pathlib.Path:
    """One source with many good entries and one of each kind of bad one."""
    archive = tmp_path_factory.mktemp("bad") / "8150601"
    source = archive / "gen2-torsion"
    for i in range(N_GOOD):
        write_water(source / str(i), i)
    for i, spoil in enumerate(REFUSED, start=N_GOOD):
        spoil(copy_sample("ethanol", source / str(i)))
    shutil.copytree(source / "3", source / "400")  # seen before
    with_nan = copy_sample("methanol-opt-path", source / "401")
    change_graph(with_nan, lambda frames: frames["g"]["u_qm"].__setitem__((0, 4), numpy.nan))
    return archive


# --- the way through -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def converted(small_archive, tmp_path_factory) -> tuple[pathlib.Path, str]:
    output = tmp_path_factory.mktemp("converted") / "data-raw"
    result = run("--input", small_archive, "--output", output, "--n-workers", 1)
    return output, result.stdout


def test_every_entry_arrives(converted, small_archive):
    output, _ = converted
    rows = {source: list(read_entries(open_dataset(output / source))) for source in ("gen2-opt", "spice-pubchem")}
    moved = "duplicated-isomeric-smiles-merge/2/gen2/3-4"
    assert [entry.entry for entry in rows["gen2-opt"]] == ["gen2/3", moved]
    assert [entry.entry for entry in rows["spice-pubchem"]] == [f"spice-pubchem/{i}" for i in range(5)]
    for entry in rows["gen2-opt"] + rows["spice-pubchem"]:
        direct = read_entry(small_archive / entry.entry)
        assert entry.smiles == direct.smiles
        assert entry.energy_offset == direct.energy_offset
        for name in ("coords", "energy", "forces"):
            numpy.testing.assert_array_equal(getattr(entry, name), getattr(direct, name))


def test_molecules_are_listed_once_and_sorted(converted):
    output, _ = converted
    smiles = json.loads((output / "smiles.json").read_text())
    assert smiles == sorted(set(smiles))
    rows = [entry.smiles for folder in output.glob("*/") for entry in read_entries(open_dataset(folder))]
    assert set(smiles) == set(rows)
    assert len(smiles) == 4


def test_console_says_what_was_done_and_what_comes_next(converted):
    output, console = converted
    assert "gen2-opt: 2 of 2 entries, 2 molecules, 12 conformers" in console
    assert "conformers per second, peak memory" in console
    assert f"002-parameterize.py --input {output}" in console.splitlines()[-1]


# --- what can go wrong -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def converted_bad(bad_archive, tmp_path_factory) -> tuple[pathlib.Path, str]:
    output = tmp_path_factory.mktemp("converted-bad") / "data-raw"
    result = run("--sources", "gen2-torsion", "--input", bad_archive, "--output", output, "--n-workers", 1)
    return output, result.stdout


def test_artifacts_are_the_same_whatever_the_number_of_workers(bad_archive, converted_bad, tmp_path):
    assert len(list(converted_bad[0].rglob("*.arrow"))) > 1  # otherwise a second worker would have nothing to do
    run("--sources", "gen2-torsion", "--input", bad_archive, "--output", tmp_path / "data-raw", "--n-workers", 2)
    assert snapshot(tmp_path / "data-raw") == snapshot(converted_bad[0])
    assert [path.name for path in tmp_path.iterdir()] == ["data-raw"]  # nothing is left beside it


def test_bad_entries_are_named_and_the_others_go_on(bad_archive, converted_bad):
    output, console = converted_bad
    n_found = N_GOOD + len(REFUSED) + 2
    assert f"gen2-torsion: {N_GOOD + 1} of {n_found} entries" in console
    assert f"left out: {len(REFUSED)} entries that cannot be used, 1 seen before, 1 conformers" in console
    assert "gen2-torsion/400 repeats gen2-torsion/3" in console
    assert "1 conformers with coordinates, energy or gradient not finite, in gen2-torsion/401" in console
    left_out = read_provenance(output / "gen2-torsion")["left_out"]
    for i, (spoil, reason) in enumerate(REFUSED.items(), start=N_GOOD):
        assert reason in left_out["failed"][f"gen2-torsion/{i}"], spoil.__name__
        assert i >= N_GOOD + MAX_REASONS - 1 or f"{bad_archive}/gen2-torsion/{i}: " in console
    assert left_out["duplicates"] == {"gen2-torsion/400": "gen2-torsion/3"}
    assert left_out["conformers"] == {"gen2-torsion/401": {"coordinates, energy or gradient not finite": 1}}
    rows = [entry.entry for entry in read_entries(open_dataset(output / "gen2-torsion"))]
    assert rows == [f"gen2-torsion/{i}" for i in [*range(N_GOOD), 401]]


def test_too_many_failures_end_the_run_and_leave_the_earlier_artifact(small_archive, tmp_path):
    archive, output = tmp_path / "8150601", tmp_path / "data-raw"
    shutil.copytree(small_archive, archive)
    run("--sources", "spice-pubchem", "--input", archive, "--output", output, "--n-workers", 1)
    before = snapshot(output)
    make_graph_a_web_page(archive / "spice-pubchem" / "2")
    result = run("--sources", "spice-pubchem", "--input", archive, "--output", output, "--n-workers", 1, expect=1)
    assert f"{archive}/spice-pubchem/2: heterograph.bin: at byte 0" in result.stdout
    assert "1 of 5 entries of spice-pubchem" in result.stderr
    assert "more than 5%" in result.stderr
    assert snapshot(output) == before


def test_interrupted_run_goes_on_unless_the_archive_has_changed(small_archive, tmp_path):
    archive, output = tmp_path / "8150601", tmp_path / "data-raw"
    shutil.copytree(small_archive, archive)
    shutil.copytree(archive / "gen2-torsion" / "0", tmp_path / "aside")
    cut_graph(archive / "gen2-torsion" / "0")  # ends the run after all shards are there
    arguments = ("--input", archive, "--output", output, "--n-workers", 1)
    run(*arguments, expect=1)
    assert not output.exists()
    shutil.copytree(tmp_path / "aside", archive / "gen2-torsion" / "0", dirs_exist_ok=True)
    console = run(*arguments).stdout
    assert "spice-pubchem: 1 of 1 shards were finished by an earlier run" in console
    assert "gen2-torsion: 1 of 1 shards" not in console
    assert len(open_dataset(output / "gen2-torsion")) == 1


def test_no_archive(tmp_path):
    result = run("--input", tmp_path / "8150601", "--output", tmp_path / "data-raw", expect=1)
    assert "error: " in result.stderr
    for hint in (f"{tmp_path}/8150601: no archive", "zenodo.org/records/8150601", "docs/the-fit.md", "make example"):
        assert hint in result.stderr


def test_empty_source(small_archive, tmp_path):
    archive = tmp_path / "8150601"
    shutil.copytree(small_archive, archive)
    shutil.rmtree(archive / "spice-pubchem")
    (archive / "spice-pubchem").mkdir()
    result = run("--input", archive, "--output", tmp_path / "data-raw", expect=1)
    assert "no entries of spice-pubchem" in result.stderr
    assert "spice-pubchem.tar.gz" in result.stderr


def test_source_of_nothing_but_duplicates_is_reported_and_left_out(small_archive, tmp_path):
    archive, output = tmp_path / "8150601", tmp_path / "data-raw"
    shutil.copytree(small_archive, archive)
    shutil.rmtree(archive / "spice-des-monomers")
    shutil.copytree(archive / "gen2-torsion", archive / "spice-des-monomers")
    console = run("--input", archive, "--output", output, "--n-workers", 1).stdout
    assert "spice-des-monomers: 0 of 1 entries" in console
    assert "spice-des-monomers/0 repeats gen2-torsion/0" in console
    assert "nothing is left of spice-des-monomers: no data set is written for it" in console
    assert sorted(path.name for path in output.glob("*/")) == ["gen2-opt", "gen2-torsion", "spice-pubchem"]


def test_output_that_cannot_be_written(small_archive, tmp_path):
    (tmp_path / "file").write_text("x")
    result = run("--input", small_archive, "--output", tmp_path / "file" / "data-raw", expect=1)
    assert f"{tmp_path}/file" in result.stderr
    assert result.stderr.count("\n") < 5


def test_an_output_that_another_process_makes_is_left_to_it(small_archive, tmp_path):
    with reserve_output(tmp_path / "data"):
        result = run("--input", small_archive, "--output", tmp_path / "data", expect=1)
    assert f"process {os.getpid()} on" in result.stderr
    assert "is at work on it; wait until it has ended, or choose another --output" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_output_that_no_stage_wrote_is_not_replaced(small_archive, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    result = run("--input", small_archive, "--output", tmp_path, expect=1)
    assert "thesis.tex" in result.stderr
    assert (tmp_path / "thesis.tex").exists()


def test_help_names_every_option():
    console = run("--help").stdout
    for option in ("--input", "--output", "--sources", "--max-force", "--n-workers"):
        assert option in console
