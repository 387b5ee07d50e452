"""Filtering: which entries have parameters, which conformers are kept, and by which atoms they are compared."""

import pathlib

import numpy
import pyarrow
import pytest
from rdkit import Chem

from common.data.dataset import Entry, open_dataset, read_entries
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles
from common.selection.filtering import (
    KnownMolecules,
    examine_source,
    select_conformers,
    select_superposed_atoms,
    write_filtered_shard,
)
from tests.helpers import write_dataset

THRESHOLD = 0.25
"""[Angstrom]."""


def make_entry(smiles: str, n_confs: int, shake: float = 0.0) -> Entry:
    """Three ETKDG conformers over and over, the heavy atoms shaken by some Angstrom."""
    mol = from_smiles(smiles)
    random = numpy.random.default_rng(0)
    coords = embed_conformers(mol, 3, seed=1)[numpy.arange(n_confs) % 3]
    coords = coords + shake * random.standard_normal(coords.shape)
    energy = random.standard_normal(n_confs)
    return Entry(
        to_mapped_smiles(mol), coords, energy, random.standard_normal(coords.shape), entry=f"gen2-opt/{smiles}"
    )


BUTANOL, GLYCINE, WATER = make_entry("CCCCO", 12, 0.02), make_entry("NCC(=O)O", 4), make_entry("O", 2)


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    write_dataset(tmp_path / "one", [BUTANOL, GLYCINE, WATER, BUTANOL])
    return tmp_path / "one"


def make_known(*entries: Entry, **failures: str) -> KnownMolecules:
    smiles = {"glycine": GLYCINE.smiles, "butanol": BUTANOL.smiles, "water": WATER.smiles}
    return KnownMolecules(
        {entry.smiles: entry.n_atoms for entry in entries}, {smiles[name]: why for name, why in failures.items()}, {}
    )


@pytest.mark.parametrize(("smiles", "n_atoms"), [("O", 3), ("CO", 6), ("CCO", 3), ("c1ccccc1", 6)])
def test_superposed_atoms(smiles, n_atoms):
    mol = from_smiles(smiles)
    reversed_order = Chem.RenumberAtoms(mol, list(range(mol.GetNumAtoms()))[::-1])
    atoms = select_superposed_atoms(to_mapped_smiles(reversed_order))
    assert len(atoms) == n_atoms
    if n_atoms < mol.GetNumAtoms():
        assert all(reversed_order.GetAtomWithIdx(i).GetAtomicNum() > 1 for i in atoms)


def test_of_like_conformers_one_is_kept():
    kept = select_conformers(BUTANOL, THRESHOLD)
    assert kept == sorted(kept)
    assert {i % 3 for i in kept} == {0, 1, 2}
    assert len(kept) == 3


def test_what_hydrogens_do_does_not_count():
    moved = BUTANOL.coords.copy()
    hydrogens = [atom.GetIdx() for atom in from_smiles("CCCCO").GetAtoms() if atom.GetAtomicNum() == 1]
    moved[:, hydrogens] += numpy.random.default_rng(2).standard_normal((len(moved), len(hydrogens), 3))
    shaken = Entry(BUTANOL.smiles, moved, BUTANOL.energy, BUTANOL.forces)
    assert select_conformers(shaken, THRESHOLD) == select_conformers(BUTANOL, THRESHOLD)


def test_an_entry_that_cannot_be_clustered_is_named():
    coords = numpy.full_like(WATER.coords, numpy.nan)
    with pytest.raises(ValueError, match=r"\[H:2\].*gen2-opt/O"):
        select_conformers(Entry(WATER.smiles, coords, WATER.energy, coords, entry=WATER.entry), THRESHOLD)


def test_rows_with_parameters_are_kept_and_the_others_counted(folder):
    contents = examine_source(folder, make_known(BUTANOL, WATER, glycine="no charges"))
    assert contents.rows == [0, 2, 3]
    assert contents.n_confs == [12, 2, 12]
    assert contents.n_molecules == 2
    assert contents.before == {"entries": 4, "molecules": 3, "conformers": 30}
    assert contents.left_out == {"no charges": [GLYCINE.smiles]}
    assert contents.left_out_counts == {"no charges": {"entries": 1, "conformers": 4}}


def test_a_molecule_of_which_nothing_is_known_is_an_error(folder):
    with pytest.raises(ValueError, match="row 1"):
        examine_source(folder, make_known(BUTANOL, WATER))


def test_parameters_for_another_number_of_atoms_are_an_error(folder):
    known = KnownMolecules({entry.smiles: 4 for entry in (BUTANOL, GLYCINE, WATER)}, {}, {})
    with pytest.raises(ValueError, match=r"row 0, .* its parameters are for 4 atoms") as caught:
        examine_source(folder, known)
    assert BUTANOL.smiles in str(caught.value)


def test_a_source_of_which_nothing_is_left_is_an_error(folder):
    known = make_known(butanol="no bond parameter", glycine="no charges", water="no charges")
    with pytest.raises(ValueError, match=r"none of its 3 molecules has parameters \(no bond parameter; no charges\)"):
        examine_source(folder, known)


@pytest.mark.parametrize("threshold", [THRESHOLD, None])
def test_a_shard_holds_what_is_kept_and_says_how_much_that_is(folder, tmp_path, threshold):
    counts = write_filtered_shard(folder, threshold, [0, 2], tmp_path / "shard.arrow")
    with pyarrow.memory_map(str(tmp_path / "shard.arrow")) as file, pyarrow.ipc.open_stream(file) as stream:
        sizes = [len(energy) for energy in stream.read_all().column("energy").to_pylist()]
    assert counts["conformers_read"] == 14
    assert counts["conformers_kept"] == sum(sizes)
    assert counts["single_conformer_entries"] == sizes.count(1)
    assert sizes == ([12, 2] if threshold is None else [3, len(select_conformers(WATER, THRESHOLD))])


def test_the_input_is_read_only(folder, tmp_path):
    before = [entry.coords.copy() for entry in read_entries(open_dataset(folder))]
    write_filtered_shard(folder, THRESHOLD, [0], tmp_path / "shard.arrow")
    for coords, entry in zip(before, read_entries(open_dataset(folder)), strict=True):
        numpy.testing.assert_array_equal(entry.coords, coords)
