"""Stage 003 as a user runs it, on small data sets."""

import pathlib
import resource
import subprocess
import sys

import numpy
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdMolAlign
from rdkit.ML.Cluster import Butina

from common.data.dataset import Entry, open_dataset, read_entries, read_provenance
from common.forcefields.parameter_file import save_parameters
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField, TensorTopology
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from tests.helpers import ROOT, write_dataset

SCRIPT = ROOT / "003-cluster-and-filter.py"
RMSD_THRESHOLD = 0.25  # [Angstrom] as in the stage
ROUNDING = 1e-9  # [kcal/mol] of energies of some hundred kcal/mol after their mean is moved

BUTANOL, GLYCINE, METHANE, WATER = "CCCCO", "NCC(=O)O", "C", "O"


def make_entry(smiles: str, n_confs: int, seed: int = 0, name: str = "") -> Entry:
    """A trajectory: conformers of the molecule, each relaxing to its ETKDG geometry in ever smaller steps."""
    mol = from_smiles(smiles)
    ends = embed_conformers(mol, 4, seed=3)
    random = numpy.random.default_rng(seed)
    steps = numpy.arange(n_confs)
    start = random.standard_normal(ends.shape)
    coords = numpy.array(
        [ends[i % 4] + 0.5 * start[i % 4] * numpy.exp(-(i // 4) / 4) for i in sorted(steps, key=lambda i: i % 4)]
    )
    energy = random.uniform(-100.0, 100.0, n_confs)
    return Entry(
        smiles=to_mapped_smiles(mol),
        coords=coords,
        energy=energy - energy.mean(),
        forces=random.standard_normal(coords.shape),
        energy_offset=-1234.5,
        entry=name,
    )


def make_topology(smiles: str) -> TensorTopology:
    mol = from_mapped_smiles(smiles)
    return TensorTopology(
        atomic_nums=torch.tensor([atom.GetAtomicNum() for atom in mol.GetAtoms()]),
        formal_charges=torch.zeros(mol.GetNumAtoms(), dtype=torch.int64),
        bond_idxs=torch.tensor([[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] for bond in mol.GetBonds()]),
        bond_orders=torch.ones(mol.GetNumBonds(), dtype=torch.int64),
        parameters={},
    )


def write_parameters(path: pathlib.Path, smiles: list[str], failures: dict[str, str]) -> None:
    topologies = {name: make_topology(name) for name in smiles}
    provenance = {"force_field": "test.offxml", "force_field_sha256": "0" * 64}
    save_parameters(path, ParameterizedMolecules(TensorForceField(()), topologies, failures, provenance))


ENTRIES = {
    "gen2-opt": [
        make_entry(BUTANOL, 60, name="gen2-opt/0"),
        make_entry(GLYCINE, 30, name="gen2-opt/1"),
        make_entry(METHANE, 12, name="gen2-opt/2"),
        make_entry(WATER, 1, name="gen2-opt/3"),
    ],
    "spice-pubchem": [make_entry(BUTANOL, 9, seed=1, name="spice-pubchem/0"), make_entry(GLYCINE, 5, seed=2)],
}
SMILES = {smiles: make_entry(smiles, 1).smiles for smiles in (BUTANOL, GLYCINE, METHANE, WATER)}


def write_inputs(folder: pathlib.Path) -> pathlib.Path:
    """What stages 001 and 002 leave behind: two sources, and parameters for all molecules but glycine."""
    for source, entries in ENTRIES.items():
        write_dataset(folder / "outputs" / "data-raw" / source, entries)
    known = [SMILES[smiles] for smiles in (BUTANOL, METHANE, WATER)]
    write_parameters(folder / "outputs" / "openff-2.1.0.pt", known, {SMILES[GLYCINE]: "no charges"})
    return folder / "outputs"


@pytest.fixture
def outputs(tmp_path) -> pathlib.Path:
    return write_inputs(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[pathlib.Path, str]:
    """The same after the stage has run once, and what it printed."""
    outputs = write_inputs(tmp_path_factory.mktemp("finished"))
    return outputs / "data-clustered", run_stage(outputs)


def run_stage(outputs: pathlib.Path, *options: str, status: int = 0, **keywords) -> str:
    """Runs the stage where a user would, and returns what it printed; the energies and forces are made up."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--n-workers", "1", "--doubts", "warn", *options],
        cwd=outputs.parent,
        capture_output=True,
        text=True,
        **keywords,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def read(folder: pathlib.Path) -> list[Entry]:
    return list(read_entries(open_dataset(folder)))


def read_files(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def find_centres_by_rdkit(entry: Entry) -> list[int]:
    """AlignMol over the heavy atoms, pair by pair, and RDKit's Butina clustering of the list of distances."""
    mol = from_mapped_smiles(entry.smiles)
    for coords in entry.coords:
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.SetPositions(coords)
        mol.AddConformer(conformer, assignId=True)
    heavy = [(atom.GetIdx(), atom.GetIdx()) for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    distances = [
        rdMolAlign.AlignMol(Chem.Mol(mol, confId=i), mol, i, j, atomMap=heavy)
        for i in range(entry.n_confs)
        for j in range(i)
    ]
    clusters = Butina.ClusterData(distances, entry.n_confs, RMSD_THRESHOLD, isDistData=True, reordering=True)
    return sorted(cluster[0] for cluster in clusters)


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_a_trajectory_is_thinned_to_rdkits_cluster_centres(finished):
    [butanol, *_] = read(finished[0] / "gen2-opt")
    whole = ENTRIES["gen2-opt"][0]
    centres = find_centres_by_rdkit(whole)
    assert 4 < len(centres) < 0.7 * whole.n_confs
    assert (butanol.coords == whole.coords[centres]).all()
    assert (butanol.forces == whole.forces[centres]).all()
    assert butanol.entry == "gen2-opt/0"


def test_energies_are_relative_to_the_mean_of_those_kept(finished):
    [butanol, *_] = read(finished[0] / "gen2-opt")
    whole = ENTRIES["gen2-opt"][0]
    centres = find_centres_by_rdkit(whole)
    assert butanol.energy.sum() == pytest.approx(0.0, abs=ROUNDING)
    numpy.testing.assert_allclose(
        butanol.energy + butanol.energy_offset, (whole.energy + whole.energy_offset)[centres], atol=ROUNDING, rtol=0
    )


def test_other_sources_pass_through_unchanged(finished):
    [kept] = read(finished[0] / "spice-pubchem")
    whole = ENTRIES["spice-pubchem"][0]
    for name in ("coords", "energy", "forces"):
        assert (getattr(kept, name) == getattr(whole, name)).all()
    assert kept.energy_offset == whole.energy_offset


def test_without_clustering_everything_with_parameters_is_kept(outputs):
    run_stage(outputs, "--no-cluster")
    assert not (outputs / "data-clustered").exists()
    kept = read(outputs / "data-filtered" / "gen2-opt")
    assert [entry.n_confs for entry in kept] == [60, 12, 1]


def test_small_molecules_are_compared_with_their_hydrogens(finished):
    """The only heavy atom of methane always lies on itself: by it alone a single conformer would be left."""
    methane = read(finished[0] / "gen2-opt")[1]
    assert methane.smiles == SMILES[METHANE]
    assert methane.n_confs > 1


# --- what is said ----------------------------------------------------------------------------------------------------


def test_the_account(finished):
    folder, text = finished
    n_kept = sum(entry.n_confs for entry in read(folder / "gen2-opt"))
    assert f"gen2-opt: 4 -> 3 entries, 4 -> 3 molecules, 103 -> {n_kept} conformers" in text
    assert f"left out: 30 without parameters, {73 - n_kept} like another conformer" in text
    assert "1 entries have a single conformer: only their forces count" in text
    assert f"1 molecules without parameters, e.g. {SMILES[GLYCINE]}: no charges" in text
    assert "004-train.py" in text


def test_provenance_holds_counts_settings_and_reasons(finished):
    provenance = read_provenance(finished[0] / "gen2-opt")
    assert provenance["left_out"] == {"no charges": [SMILES[GLYCINE]]}
    assert provenance["settings"] == {"rmsd_threshold": RMSD_THRESHOLD}
    assert provenance["counts"]["before"] == {"entries": 4, "molecules": 4, "conformers": 103}
    assert provenance["counts"]["without_parameters"] == {"no charges": {"entries": 1, "conformers": 30}}
    assert provenance["counts"]["after"]["single_conformer_entries"] == 1
    assert provenance["input"]["force_field"] == "test.offxml"
    assert read_provenance(finished[0] / "spice-pubchem")["settings"] == {"rmsd_threshold": None}


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_molecule_that_002_has_not_seen_is_an_error(outputs):
    write_parameters(outputs / "openff-2.1.0.pt", [SMILES[BUTANOL], SMILES[METHANE]], {SMILES[WATER]: "no charges"})
    text = run_stage(outputs, status=1)
    assert SMILES[GLYCINE] in text
    assert "run 002-parameterize.py" in text
    assert "Traceback" not in text
    assert not (outputs / "data-clustered").exists()


def test_missing_parameters_are_named(outputs):
    (outputs / "openff-2.1.0.pt").unlink()
    text = run_stage(outputs, status=1)
    assert "openff-2.1.0.pt: no such file; run 002-parameterize.py" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("output", ["outputs/data-raw", "outputs"])
def test_neither_the_input_nor_other_things_are_replaced(outputs, output):
    before = read_files(outputs)
    assert "choose another --output" in run_stage(outputs, "--output", output, status=1)
    assert read_files(outputs) == before


# --- plumbing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def long_outputs(outputs) -> pathlib.Path:
    """A source of three shards besides: the second is many times as large as the others."""
    butanol, water = make_entry(BUTANOL, 4000), make_entry(WATER, 4000)
    write_dataset(outputs / "data-raw" / "spice-des-monomers", [water, butanol, water])
    return outputs


def test_the_number_of_workers_does_not_show(long_outputs):
    run_stage(long_outputs, "--output", "outputs/one")
    run_stage(long_outputs, "--n-workers", "2", "--output", "outputs/two")
    one, two = read_files(long_outputs / "one"), read_files(long_outputs / "two")
    assert len(one) == 3 * 3 + 5  # three JSON files for each source, and 1, 1 and 3 shards
    assert one == two


def test_an_interrupted_run_goes_on_where_it_stopped(long_outputs):
    run_stage(long_outputs, "--output", "outputs/whole")
    limit = 1_500_000  # bytes: enough for the shards of water, too little for the one of butanol

    def forbid_large_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    run_stage(long_outputs, status=1, preexec_fn=forbid_large_files)
    assert not (long_outputs / "data-clustered").exists()
    text = run_stage(long_outputs)
    assert "gen2-opt: 1 of 1 shards were finished by an earlier run" in text
    assert "spice-des-monomers: 1 of 3 shards were finished by an earlier run" in text
    assert read_files(long_outputs / "data-clustered") == read_files(long_outputs / "whole")
    assert not [path for path in long_outputs.iterdir() if path.name.startswith(".")]


def test_running_again_replaces_the_artifact(outputs):
    write_dataset(outputs / "data-clustered" / "an-earlier-source", ENTRIES["spice-pubchem"])
    run_stage(outputs)
    assert sorted(path.name for path in (outputs / "data-clustered").iterdir()) == ["gen2-opt", "spice-pubchem"]


def test_help_names_every_option():
    text = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--input", "--parameters", "--output", "--no-cluster", "--n-workers"):
        assert option in text
