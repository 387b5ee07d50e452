"""What can be wrong with what the stages read, and with where they write: one sentence, no half artifact, no trust.

Damage to a single entry of the archive is in tests/damages.py, damage to other files in the test of the module that
reads them; what is here concerns whole stages.
"""

import ast
import collections.abc
import dataclasses
import json
import math
import os
import pathlib
import re
import shutil
import subprocess

import numpy
import pyarrow
import pytest
import torch

from benchmarks.make_archive import make_archive
from common.data.dataset import Entry, ShardWriter, open_dataset, read_entries, read_provenance
from common.data.shards import check_output, make_shards, publish_datasets
from common.data.splits import SplitSettings, split_molecules
from common.espaloma.entry import EntryError, read_entry
from common.molecules.mapped_smiles import compute_connectivity_key
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.sufficient_statistics.plan import index_rows
from tests.commands import ROOT, SCRIPTS, STARTER, make_command
from tests.damages import make_a_force_absurd
from tests.helpers import make_entries, raises_with_advice, write_dataset
from tests.stages.disks import mount

SAMPLE = ROOT / "tests" / "data" / "heterograph" / "ethanol"

METHANE = "[C:1]([H:2])([H:3])([H:4])[H:5]"
N_CONFS = 600


def run(name: str, folder: pathlib.Path, output: pathlib.Path, *options) -> subprocess.CompletedProcess:
    """Runs a stage that reads from ``folder`` and writes into ``output``."""
    command = [*make_command(name, folder, output, n_workers=1, n_epochs=10), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def get_error(done: subprocess.CompletedProcess) -> str:
    """The one sentence with which a stage has ended."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> pathlib.Path:
    """An archive and what the first three stages make of it."""
    folder = tmp_path_factory.mktemp("finished")
    make_archive(N_CONFS, folder / "8150601", seed=0, n_workers=1)
    for name in ("001", "002", "003"):
        done = run(name, folder, folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


# --- entries ---------------------------------------------------------------------------------------------------------


def test_absurd_forces_are_dropped_above_a_ceiling_and_counted(finished, tmp_path):
    shutil.copytree(finished / "8150601", tmp_path / "8150601")
    entry = "spice-pubchem/5"
    make_a_force_absurd(tmp_path / "8150601" / entry, conformer=2)
    done = run("001", tmp_path, tmp_path, "--max-force", 1e5)
    assert done.returncode == 0, done.stderr
    assert f"1 conformers with a force above 100000 kcal/mol/A, in {entry}" in done.stdout
    left_out = read_provenance(tmp_path / "data-raw" / "spice-pubchem")["left_out"]
    assert left_out["conformers"] == {entry: {"a force above 100000 kcal/mol/A": 1}}


def test_a_molecule_in_two_orders_and_sources_is_kept_twice_and_never_split(finished):
    rows = {
        source: [entry.smiles for entry in read_entries(open_dataset(finished / "data-raw" / source))]
        for source in ("gen2-torsion", "spice-pubchem")
    }
    keys = {source: {compute_connectivity_key(smiles): smiles for smiles in own} for source, own in rows.items()}
    shared = keys["gen2-torsion"].keys() & keys["spice-pubchem"].keys()
    assert shared
    everything = json.loads((finished / "data-raw" / "smiles.json").read_text())
    for key in shared:
        first, second = keys["gen2-torsion"][key], keys["spice-pubchem"][key]
        assert first != second  # the order of the atoms is part of a mapped SMILES
        found = set()
        for seed in range(30):  # so that the molecule comes up in each split
            splits = split_molecules(everything, SplitSettings(0.3, 0.3, seed))
            assert splits[first] == splits[second]
            found.add(splits[first])
        assert found == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("[C:1](", r"12/mol\.json: RDKit cannot read back the SMILES that it writes"),
        (METHANE, r"12/mol\.json: RDKit reads another molecule from the SMILES that it writes"),
    ],
)
def test_smiles_that_rdkit_cannot_read_back(smiles, message, tmp_path, monkeypatch):
    shutil.copytree(SAMPLE, tmp_path / "12")
    monkeypatch.setattr("common.espaloma.entry.to_mapped_smiles", lambda mol: smiles)
    with pytest.raises(EntryError, match=message):
        read_entry(tmp_path / "12")


def test_smiles_that_rdkit_cannot_read_are_failures_of_002():
    result = parameterize(read_force_field(STARTER), ["[C:1](", METHANE], 1)
    assert list(result.topologies) == [METHANE]
    assert "RDKit cannot read this SMILES" in result.failures["[C:1]("]


# --- what an earlier stage wrote -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "folder"), [("003", "data-raw"), ("004", "data-clustered")])
def test_a_data_set_of_another_version_is_refused(name, folder, finished, tmp_path):
    shutil.copytree(finished / folder, tmp_path / folder)
    shutil.copy(finished / "starter.pt", tmp_path)
    path = tmp_path / folder / "gen2-torsion" / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    error = get_error(run(name, tmp_path, tmp_path))
    assert f"{path.parent}: data set of format 99, expected 1; run the stage that wrote it again" in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("damage", ["cut", "columns", "missing", "provenance", "provenance of another kind"])
def test_a_damaged_data_set_is_named(damage, finished, tmp_path):
    shutil.copytree(finished / "data-raw" / "gen2-torsion", tmp_path / "data")
    [path] = (tmp_path / "data").glob("*.arrow")
    if damage == "cut":
        os.truncate(path, 300)
    elif damage == "columns":
        schema = pyarrow.schema([("smiles", pyarrow.string())])
        with pyarrow.ipc.new_stream(str(path), schema) as stream:
            stream.write_batch(pyarrow.record_batch([pyarrow.array(["C"])], schema=schema))
    elif damage == "missing":
        path.unlink()
    else:
        (tmp_path / "data" / "provenance.json").write_text('{"form' if damage == "provenance" else "[1]")
    with pytest.raises((ValueError, FileNotFoundError), match=f"(?s){tmp_path}/data.*run the stage that w"):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize("name", ["coords", "energy", "forces"])
def test_a_data_set_with_a_value_that_is_not_finite_is_refused(name, parity_energies, tmp_path):
    """As one of another program may be; 001 lets no such value through."""
    good, bad = make_entries(parity_energies[:2], 3)
    getattr(bad, name).reshape(-1)[-1] = math.nan
    write_dataset(tmp_path / "data", [good, bad])
    with pytest.raises(ValueError, match=r"row 1, .* is not finite; run the stage that wrote") as caught:
        list(read_entries(open_dataset(tmp_path / "data")))
    assert bad.smiles in str(caught.value)


def test_data_chosen_by_another_force_field_serve_if_all_molecules_have_parameters(
    parity_molecules, parity_energies, tmp_path
):
    write_dataset(tmp_path / "data", make_entries(parity_energies[:2], 3))
    path = tmp_path / "data" / "provenance.json"
    provenance = {**json.loads(path.read_text()), "input": {"force_field_sha256": "1" * 64}}
    path.write_text(json.dumps(provenance))
    assert len(index_rows(tmp_path / "data", parity_molecules, tmp_path / "x.pt")) == 2
    first = parity_energies[0]["smiles"]
    fewer = dataclasses.replace(
        parity_molecules,
        topologies={smiles: one for smiles, one in parity_molecules.topologies.items() if smiles != first},
        failures={first: "no Bonds pattern"},
    )
    with raises_with_advice(ValueError, r"data, row 0: .*x\.pt has no parameters for .*no Bonds pattern.*003-cluster"):
        index_rows(tmp_path / "data", fewer, tmp_path / "x.pt")


# --- where the stages write ------------------------------------------------------------------------------------------


def list_visible(folder: pathlib.Path) -> list[str]:
    """Files below a folder, but for those whose names, or whose folders' names, begin with a dot."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in paths if not any(part.startswith(".") for part in path.parts)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_full_disk_is_named_and_leaves_no_half_artifact(name, finished, small_disk):
    error = get_error(run(name, finished, small_disk))
    assert str(small_disk) in error
    assert "the disk is full; free some space, then " in error
    assert list_visible(small_disk) == []


def test_a_full_disk_is_named_by_a_rank(finished, small_disk):
    error = get_error(run("004", finished, small_disk, "--n-processes", 2))
    assert re.search(rf"rank \d failed .*: {small_disk}/.*: the disk is full; free some space", error)


def test_a_disk_that_fills_up_during_training(finished, small_disk, tmp_path):
    error = get_error(run("004", finished, small_disk, "--statistics", tmp_path / "statistics"))
    assert str(small_disk) in error
    assert "the disk is full" in error
    [run_folder] = (small_disk / "runs").iterdir()
    assert not (run_folder / "summary.json").exists()
    for path in run_folder.rglob("[!.]*.pt"):
        torch.load(path, weights_only=True)
    for path in run_folder.rglob("[!.]*.json"):
        json.loads(path.read_text())


def test_a_mounted_disk_itself_is_no_output(finished, small_disk):
    error = get_error(run("001", finished, small_disk, "--output", small_disk))
    assert f"{small_disk}: is the root of a file system" in error


def test_a_link_to_another_disk_may_be_an_output(small_disk, tmp_path):
    (small_disk / "data-raw").mkdir()
    output = tmp_path / "data-raw"
    output.symlink_to(small_disk / "data-raw")
    check_output(output)
    shards = make_shards(output, "methane", [[METHANE]], write_shard, {}, 1, "test")
    publish_datasets(output, [(shards, {})])
    assert [entry.smiles for entry in read_entries(open_dataset(small_disk / "data-raw" / "methane"))] == [METHANE]


def write_shard(smiles: list[str], path: pathlib.Path) -> dict[str, int]:
    with ShardWriter(path) as shard:
        for one in smiles:
            shard.write(Entry(one, numpy.zeros((1, 5, 3)), numpy.zeros(1), numpy.zeros((1, 5, 3))))
    return {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_read_only_output_is_named(name, finished, read_only):
    error = get_error(run(name, finished, read_only))
    assert str(read_only) in error
    assert re.search("(Read-only file system|Permission denied); see to the permissions there, or name another", error)


def test_what_a_stage_reads_may_be_read_only(finished, tmp_path):
    folder = tmp_path / "read-only"
    mount("--bind", "-o", "ro", str(finished), path=folder)
    try:
        for name in ("002", "003", "004", "005"):
            done = run(name, folder, tmp_path / "output")
            assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# --- nothing is trusted ----------------------------------------------------------------------------------------------


def iterate_calls() -> collections.abc.Iterator[tuple[pathlib.Path, str, dict[str, str]]]:
    """Every call in the code: its file, the function's name as written, its keyword arguments as written."""
    for path in [*ROOT.glob("*.py"), *ROOT.glob("common/**/*.py"), *ROOT.glob("example/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg}
                yield path, ast.unparse(node.func), keywords


def test_nothing_is_unpickled_or_parsed_with_trust():
    """Tensors are loaded in one place, looked through before; unpicklers know a few names; XML is defused."""
    n_loads = n_unpicklers = n_parsers = 0
    for path, function, keywords in iterate_calls():
        if function == "torch.load":
            assert path.name == "tensor_file.py", path
            assert keywords["weights_only"] == "True"
            n_loads += 1
        if function.endswith("Unpickler"):
            assert path.name in ("weights.py", "trajectory_files.py"), path  # each has a list of names
            n_unpicklers += 1
        assert function not in ("pickle.load", "pickle.loads", "eval", "exec", "marshal.loads"), path
        assert keywords.get("allow_pickle", "False") == "False", path
        if function.endswith(("ElementTree.fromstring", "ElementTree.parse")):
            assert function.startswith("defusedxml."), path
            n_parsers += 1
    assert n_loads == 1
    assert n_unpicklers == 2
    assert n_parsers >= 1
