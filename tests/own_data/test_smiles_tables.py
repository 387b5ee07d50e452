"""Tables of SMILES, with XYZ files beside them or of names alone."""

import ase.io
import numpy
import pytest

from common.molecules.mapped_smiles import compute_connectivity_key
from common.own_data.records import InputError
from common.own_data.smiles_tables import read_smiles_by_name
from tests.own_data.checks import check_same, read_all
from tests.own_data.samples import make_atoms, read_samples, write_table

SAMPLES = read_samples()


def test_the_same_numbers_arrive_from_one_file_a_conformer(tmp_path):
    write_table(tmp_path / "mine.csv", SAMPLES)
    found = read_all(tmp_path / "mine.csv")
    assert [entry.entry for entry in found] == list(SAMPLES)
    for entry in found:
        check_same(entry, SAMPLES[entry.entry])


def test_a_smi_file_names_the_xyz_files_beside_it(tmp_path):
    (tmp_path / "mine.smi").write_text("# comment\nCCO ethanol\nCO methanol-opt-path\n")
    for name in ("ethanol", "methanol-opt-path"):
        ase.io.write(tmp_path / f"{name}.xyz", make_atoms(SAMPLES[name]), format="extxyz")
    found = read_all(tmp_path / "mine.smi")
    assert [compute_connectivity_key(entry.smiles) for entry in found] == ["CCO", "CO"]
    numpy.testing.assert_allclose(found[1].forces, SAMPLES["methanol-opt-path"].forces, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "name,xyz\nx,x.xyz\n", "no column 'smiles', only name, xyz"),
        ("a.csv", "smiles,xyz\nO,water.xyz\n", r"line 2: .*water\.xyz is missing"),
        ("a.csv", "smiles,xyz,energy\nCCO,two.xyz,-1.0\n", "line 2: one energy, but"),
        ("a.csv", "smiles,xyz,energy\nCCO,one.xyz,low\n", "line 2: 'low' is no energy"),
        ("a.smi", "\n\nCCO water\n", r"line 3: .*water\.xyz is missing"),
    ],
)
def test_damage_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    ase.io.write(tmp_path / "one.xyz", make_atoms(SAMPLES["ethanol"])[:1], format="extxyz")
    ase.io.write(tmp_path / "two.xyz", make_atoms(SAMPLES["ethanol"])[:2], format="extxyz")
    with pytest.raises(InputError, match=message):
        read_all(tmp_path / name)


def test_names_are_read_from_smi_and_csv(tmp_path):
    (tmp_path / "a.smi").write_text("CCO my ethanol\n")
    (tmp_path / "a.csv").write_text("name, SMILES\nmy ethanol,CCO\n")
    expected = {"my ethanol": "CCO"}
    assert read_smiles_by_name(tmp_path / "a.smi") == read_smiles_by_name(tmp_path / "a.csv") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("CCO\n", "line 1: expected a SMILES and a name"), ("CO a\nCCO a\n", "'a' occurs twice"), ("\n", "no SMILES in")],
)
def test_tables_of_names_that_are_wrong(tmp_path, text, message):
    (tmp_path / "a.smi").write_text(text)
    with pytest.raises(InputError, match=message):
        read_smiles_by_name(tmp_path / "a.smi")
