"""``mol.json``: against the toolkit's own files, there and back, and damaged."""

import json

import pytest
from rdkit import Chem

from common.espaloma.molecule_file import format_molecule, parse_molecule
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from common.molecules.stereochemistry import LABELLINGS, apply_labels
from tests.helpers import DATA

HETEROGRAPHS = DATA / "heterograph"
SAMPLES = ("ethanol", "methanol-opt-path", "n-methylacetamide")

MOLECULES = [
    "c1ccccc1C(=O)[O-]",
    "C[N+](=O)[O-]",
    "c1cc[nH]c1",
    "O=c1cc[nH]cc1",
    "CS(=O)(=O)C#N",
    "[C-]#[O+]",
    "C[C@H](O)/C=C/[C@@H](C)O",
    "C[C@H]1CC[C@@H](C)CC1",  # RDKit's own labels have none for these centres
    "F/N=N/Cl",
    "[NH4+]",
]


def decode(text: str) -> dict:
    return json.loads(json.loads(text))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_toolkits_file_gives_the_toolkits_molecule(name):
    folder = HETEROGRAPHS / name
    parsed = parse_molecule((folder / "mol.json").read_text())
    expected = from_mapped_smiles(json.loads((folder / "expected.json").read_text())["mapped_smiles"])
    assert to_mapped_smiles(parsed.mol) == to_mapped_smiles(expected)
    assert parsed.labels == {}


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_written_equals_the_toolkits_file_but_for_the_charges(name):
    text = (HETEROGRAPHS / name / "mol.json").read_text()
    wanted = {**decode(text), "partial_charges": None, "partial_charges_unit": None}
    assert format_molecule(parse_molecule(text).mol) == json.dumps(json.dumps(wanted))


@pytest.mark.parametrize("smiles", MOLECULES)
def test_there_and_back(smiles):
    mol = from_smiles(smiles)
    parsed = parse_molecule(format_molecule(mol))
    readings = []
    for compute_labels in LABELLINGS:
        try:
            readings.append(to_mapped_smiles(apply_labels(parsed.mol, parsed.labels, compute_labels)))
        except ValueError:  # centres that only the other labelling names
            continue
    assert to_mapped_smiles(mol) in readings


def change_atom(plain: dict, **fields) -> None:
    plain["atoms"][0].update(fields)


def change_bond(plain: dict, **fields) -> None:
    plain["bonds"][0].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: plain.pop("atoms"), "molecule: field 'atoms' is missing"),
        (lambda plain: plain.update(bonds=None), "bonds is None, expected list"),
        (lambda plain: plain.update(atoms=[]), "no atoms"),
        (lambda plain: plain["atoms"][0].pop("formal_charge"), "atom 0: field 'formal_charge' is missing"),
        (lambda plain: change_atom(plain, atomic_number=0), "atomic number 0"),
        (lambda plain: change_atom(plain, atomic_number=10**30), "is no atom"),
        (lambda plain: change_atom(plain, atomic_number=6.0), "expected int"),
        (lambda plain: change_atom(plain, atomic_number=True), "expected int"),
        (lambda plain: change_atom(plain, stereochemistry="X"), "atom 0: stereochemistry is 'X'"),
        (lambda plain: plain["atoms"].__setitem__(0, None), "atom 0: field 'atomic_number' is missing"),
        (lambda plain: change_bond(plain, atom1=9), "joins atoms 9 and 1 of 9"),
        (lambda plain: change_bond(plain, atom1=-1), "joins atoms -1"),
        (lambda plain: change_bond(plain, atom1=1), "joins atoms 1 and 1"),
        (lambda plain: change_bond(plain, bond_order=1.5), "expected int"),
        (lambda plain: change_bond(plain, bond_order=4), "expected 1, 2 or 3"),
        (lambda plain: change_bond(plain, bond_order=3), "Explicit valence"),
        (lambda plain: change_bond(plain, stereochemistry="R"), "bond 0: stereochemistry"),
        (lambda plain: plain["bonds"].append(plain["bonds"][0]), "bonded twice"),
        (lambda plain: plain["bonds"].pop(), "unpaired electrons"),
        (lambda plain: plain.update(virtual_sites=[{}]), "virtual sites"),
        (lambda plain: plain.update(partial_charges=[0.0]), "1 partial charges for 9 atoms"),
        (lambda plain: plain.update(partial_charges=0.0), "expected list"),
    ],
)
def test_wrong_fields_are_named(change, message):
    plain = decode((HETEROGRAPHS / "ethanol" / "mol.json").read_text())
    change(plain)
    with pytest.raises(ValueError, match=message):
        parse_molecule(json.dumps(json.dumps(plain)))


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "3", '"{"', '"[]"', '"3"', "{}", "[" * 100_000, '"' + "[" * 100_000 + '"', b"\xff\xfe\xfd"],
)
def test_text_of_another_kind(text):
    with pytest.raises(ValueError, match=r"JSON|expected an object"):
        parse_molecule(text)


def test_implicit_hydrogens_are_refused():
    with pytest.raises(ValueError, match="hydrogens must be explicit"):
        format_molecule(Chem.MolFromSmiles("CCO"))
