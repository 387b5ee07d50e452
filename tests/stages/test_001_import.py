"""Stage 001 for one's own data, as a user runs it: from each format to the same data set, refusals, resumption."""

import json
import pathlib
import shutil

import ase.io
import numpy
import pytest

from common.data.dataset import open_dataset, read_entries, read_provenance
from common.molecules.mapped_smiles import compute_connectivity_key
from tests.commands import ROOT, STARTER, complete_here
from tests.own_data import samples
from tests.own_data.checks import check_same
from tests.plausibility.samples import read_example

SCRIPT = ROOT / "001-import-own-data.py"
SAMPLES = samples.read_samples()


def run(*options: object, expect: int = 0) -> str:
    done = complete_here(SCRIPT, *options, "--n-workers", 1)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if not expect else done.stderr


def read(folder: pathlib.Path) -> list:
    return list(read_entries(open_dataset(folder)))


WRITERS = {
    "mine.xyz": samples.write_extended_xyz,
    "mine.db": samples.write_ase_database,
    "mine.csv": samples.write_table,
    "mine.hdf5": samples.write_spice,
    "mine.json": lambda path, entries: samples.write_json(
        path, [samples.make_record(entry, i) for entry in entries.values() for i in range(entry.n_confs)]
    ),
    "mine": samples.write_descent,
}


@pytest.mark.parametrize("file", WRITERS)
def test_every_format_gives_the_same_data_set(tmp_path, file):
    WRITERS[file](tmp_path / file, SAMPLES)
    console = run(tmp_path / file, "--output", tmp_path / "data-raw")
    assert "mine: 3 of 3 entries, 3 molecules" in console
    assert "doubt" not in console.lower()
    for entry, expected in zip(read(tmp_path / "data-raw" / "mine"), SAMPLES.values(), strict=True):
        check_same(entry, expected, 1e-5)
        assert entry.entry.startswith("mine/")
    smiles = json.loads((tmp_path / "data-raw" / "smiles.json").read_text())
    assert smiles == sorted(entry.smiles for entry in SAMPLES.values())


def test_arrays_of_one_molecule(tmp_path):
    samples.write_arrays(tmp_path / "aspirin.npz", SAMPLES["n-methylacetamide"])
    console = run(tmp_path / "aspirin.npz", "--output", tmp_path / "data-raw", "--name", "md17")
    [entry] = read(tmp_path / "data-raw" / "md17")
    assert compute_connectivity_key(entry.smiles) == "CNC(C)=O"
    assert f"002-parameterize.py --input {tmp_path / 'data-raw'}" in console


def test_data_sets_stand_beside_each_other_and_go_on_to_002_and_003(tmp_path):
    raw = tmp_path / "data-raw"
    samples.write_extended_xyz(tmp_path / "first.xyz", {"ethanol": SAMPLES["ethanol"]})
    samples.write_extended_xyz(tmp_path / "second.xyz", {"methanol": SAMPLES["methanol-opt-path"]})
    run(tmp_path / "first.xyz", "--output", raw)
    console = run(tmp_path / "second.xyz", "--output", raw)
    assert "wrote" in console
    assert "beside first" in console
    run(tmp_path / "second.xyz", "--output", raw)  # again: replaced, not added
    assert {path.name for path in raw.iterdir()} == {"first", "second", "smiles.json"}
    assert len(json.loads((raw / "smiles.json").read_text())) == 2
    parameters, clustered = tmp_path / "starter.pt", tmp_path / "data-clustered"
    done = complete_here(
        ROOT / "002-parameterize.py", "--input", raw, "--force-field", STARTER, "--output", parameters, "--n-workers", 1
    )
    assert done.returncode == 0, done.stderr
    done = complete_here(
        ROOT / "003-cluster-and-filter.py", "--input", raw, "--parameters", parameters, "--output", clustered,
        "--n-workers", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in clustered.iterdir()} == {"first", "second"}


def test_the_account_names_what_is_left_out(tmp_path):
    frames = samples.make_atoms(SAMPLES["ethanol"], name="ethanol")
    others = samples.make_atoms(SAMPLES["methanol-opt-path"], name="methanol")
    for atoms in others:
        atoms.positions[1] = atoms.positions[0]
    frames += others
    ase.io.write(tmp_path / "mine.xyz", frames, format="extxyz")
    n_confs = SAMPLES["methanol-opt-path"].n_confs
    error = run(tmp_path / "mine.xyz", "--output", tmp_path / "data-raw", expect=1)
    assert "1 of 2 molecules cannot be used" in error
    assert not (tmp_path / "data-raw").exists()
    run(tmp_path / "mine.xyz", "--output", tmp_path / "data-raw", "--max-failed-fraction", 0.5)
    provenance = read_provenance(tmp_path / "data-raw" / "mine")
    reason = f"no conformer is left of {n_confs}: {n_confs} with atoms closer than 0.4 A"
    assert provenance["left_out"]["failed"] == {"mine/methanol": reason}
    assert provenance["counts"]["conformers"] == SAMPLES["ethanol"].n_confs


def write_eight(folder: pathlib.Path, change) -> pathlib.Path:
    """Eight molecules of the example, with a mistake, in kcal/mol, as descent's data."""
    entries = sorted(read_example(), key=lambda entry: -entry.n_confs)[:8]
    samples.write_descent(folder / "mine", {entry.entry: change(entry) for entry in entries})
    return folder / "mine"


def replace(**functions):
    import dataclasses

    return lambda entry: dataclasses.replace(entry, **{name: f(entry) for name, f in functions.items()})


def swap_alike(entry) -> list[int]:
    """Another order of the atoms in which each element stands where it stood: the atoms of each, backwards."""
    numbers = numpy.array(samples.list_numbers(entry))
    order = numpy.arange(entry.n_atoms)
    for number in numpy.unique(numbers):
        order[numbers == number] = order[numbers == number][::-1]
    return order.tolist()


MISTAKES = {
    "these forces look like gradients: their sign is wrong": replace(forces=lambda e: -e.forces),
    "these coordinates look like bohr": replace(coords=lambda e: e.coords / 0.529177),
    "these energies and forces look like kJ/mol": replace(
        energy=lambda e: e.energy * 4.184, forces=lambda e: e.forces * 4.184
    ),
    "single precision (float32)": replace(
        energy=lambda e: ((e.energy + e.energy_offset) / 627.5094740631).astype("f4") * 627.5094740631,
        energy_offset=lambda e: 0.0,
    ),
    "another order of the atoms, or another molecule, than the SMILES says": replace(
        coords=lambda e: e.coords[:, swap_alike(e)], forces=lambda e: e.forces[:, swap_alike(e)]
    ),
    "the bonds of the geometry, by distance, are not those of the SMILES": replace(
        coords=lambda e: e.coords[:, numpy.r_[1 : e.n_atoms, 0]],
        forces=lambda e: e.forces[:, numpy.r_[1 : e.n_atoms, 0]],
    ),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_data_that_look_wrong_are_refused_and_the_suspicion_named(tmp_path, words):
    path = write_eight(tmp_path, MISTAKES[words])
    done = complete_here(SCRIPT, path, "--output", tmp_path / "data-raw", "--n-workers", 1)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert words in (done.stdout if "given above" in line else line)
    assert not (tmp_path / "data-raw").exists()


def test_003_refuses_data_of_others_that_look_wrong(tmp_path):
    """Data sets that no 001 has seen, eight molecules with gradients for forces."""
    raw = write_eight(tmp_path / "data-raw", MISTAKES["these forces look like gradients: their sign is wrong"]).parent
    smiles = sorted({entry.smiles for entry in read(raw / "mine")})
    (raw / "smiles.json").write_text(json.dumps(smiles))
    parameters, clustered = tmp_path / "starter.pt", tmp_path / "data-clustered"
    options = ("--n-workers", 1, "--output")
    done = complete_here(ROOT / "002-parameterize.py", "--input", raw, "--force-field", STARTER, *options, parameters)
    assert done.returncode == 0, done.stderr
    command = (ROOT / "003-cluster-and-filter.py", "--input", raw, "--parameters", parameters, *options, clustered)
    done = complete_here(*command)
    assert done.returncode == 1
    assert "mine: 8 of 8 entries: these forces look like gradients: their sign is wrong" in done.stderr
    assert not clustered.exists()
    done = complete_here(*command, "--doubts", "warn")
    assert done.returncode == 0, done.stderr
    assert "WARNING: mine: 8 of 8 entries" in done.stdout
    assert len(read_provenance(clustered / "mine")["doubts"]) == 8


def test_a_warning_instead_of_a_refusal_is_kept_in_the_provenance(tmp_path):
    path = write_eight(tmp_path, MISTAKES["these forces look like gradients: their sign is wrong"])
    console = run(path, "--output", tmp_path / "data-raw", "--doubts", "warn")
    assert "WARNING: mine: 8 of 8 entries: these forces look like gradients" in console
    assert len(read_provenance(tmp_path / "data-raw" / "mine")["doubts"]) == 8


def test_gradients_and_units_can_be_named(tmp_path):
    path = write_eight(tmp_path, MISTAKES["these forces look like gradients: their sign is wrong"])
    assert "8 of 8 entries" in run(path, "--output", tmp_path / "data-raw", "--gradients")
    error = run(path, "--output", tmp_path / "data-raw", "--energy-unit", "eV", expect=1)
    assert "'eV' is named as a unit, but descent files have units of their own" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name at least one file"),
        (["nothing.xyz"], "nothing.xyz: no such file"),
        (["nothing.xyz", "--name", "a/b"], "name = 'a/b': letters, digits"),
        (["nothing.xyz", "--force-unit", "eV"], "'eV': no unit of force"),
    ],
)
def test_wrong_settings_are_named(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run(*options, expect=1)


def test_finished_shards_of_an_interrupted_run_are_used(tmp_path, monkeypatch):
    samples.write_extended_xyz(tmp_path / "mine.xyz", SAMPLES)
    options = (tmp_path / "mine.xyz", "--output", tmp_path / "data-raw", "--slice-bytes", 1)
    with monkeypatch.context() as patched:
        patched.setattr(
            "common.data.shards.publish_datasets", lambda *_, **__: (_ for _ in ()).throw(OSError("killed"))
        )
        run(*options, expect=1)
    assert "mine: 3 of 3 shards were finished by an earlier run" in run(*options)
    shutil.copy(tmp_path / "mine.xyz", tmp_path / "again.xyz")
    with open(tmp_path / "mine.xyz", "a") as file:
        file.write((tmp_path / "again.xyz").read_text())
    assert "earlier run" not in run(*options)  # the file has changed
