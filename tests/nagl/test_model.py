"""Charges: what physics demands of them, then figures of openff-nagl, then refusals."""

import functools
import gzip
import json

import numpy
import pytest
from rdkit import Chem

from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, perceive
from common.nagl.features import compute_atom_features
from common.nagl.model import ChargeError, ChargeModel, load_charge_model
from common.nagl.weights import find_weights, load_weights
from tests.helpers import DATA

CHARGES = DATA / "charges"

SAME = 1e-6
"""[e] openff-nagl runs its network in single precision; the figures have seven decimals."""

EXACT = 1e-12
"""[e] Sums in another order, in double precision."""


def read(name: str) -> dict:
    return json.loads(gzip.decompress((CHARGES / name).read_bytes()))


@pytest.fixture(scope="module")
def model() -> ChargeModel:
    return load_charge_model()


@functools.cache
def build(smiles: str) -> Chem.Mol:
    return from_smiles(smiles)


def compute(model: ChargeModel, smiles: str) -> numpy.ndarray:
    (charges,) = model.compute_charges([build(smiles)])
    assert isinstance(charges, numpy.ndarray), charges
    return charges


VARIED = [
    "CC(=O)Nc1ccc(O)cc1",
    "[NH3+]C(CCCNC(N)=[NH2+])C(=O)[O-]",
    "O=[N+]([O-])c1cc([N+](=O)[O-])c([O-])c([N+](=O)[O-])c1",
    "NS(=O)(=O)c1cc2c(cc1Cl)NCNS2(=O)=O",
    "CN(C)c1ccc2nc3ccc(N(C)C)cc3[s+]c2c1",
    "COP(=O)([O-])[O-]",
    "CC(Br)C(F)(F)I",
    "CS(C)=O",
    "O=C([O-])c1ccccc1C(=O)[O-]",
]


@pytest.mark.parametrize("smiles", VARIED)
def test_charges_add_up_to_the_formal_charge(model, smiles):
    assert compute(model, smiles).sum() == pytest.approx(Chem.GetFormalCharge(build(smiles)), abs=EXACT)


@pytest.mark.parametrize("smiles", VARIED)
def test_charges_follow_the_atoms_through_any_renumbering(model, smiles):
    expected = compute(model, smiles)
    rng = numpy.random.default_rng(0)
    orders = [rng.permutation(len(expected)).tolist() for _ in range(3)]
    renumbered = [perceive(Chem.RenumberAtoms(build(smiles), order)) for order in orders]
    for order, charges in zip(orders, model.compute_charges(renumbered), strict=True):
        assert charges == pytest.approx(expected[order], abs=EXACT)


@pytest.mark.parametrize(
    ("smiles", "alike", "n_atoms"),
    [
        ("CC(=O)[O-]", "[O;X1]", 2),
        ("CC(=O)[O-]", "[#1]", 3),
        ("O=C([O-])c1ccccc1C(=O)[O-]", "[O;X1]", 4),
        ("CC[N+](=O)[O-]", "[O;X1]", 2),
        ("CN(=O)=O", "[O;X1]", 2),
        ("CCOP(=O)([O-])[O-]", "[O;X1]", 3),
        ("CS(=O)(=O)[O-]", "[O;X1]", 3),
        ("NC(=[NH2+])N", "[#7]", 3),
        ("CN(C)c1ccc2nc3ccc(N(C)C)cc3[s+]c2c1", "[N;X3]", 2),
        ("c1ccccc1", "[#6]", 6),
        ("CN1C=CN(C)C1=O", "[#7]", 2),
    ],
)
def test_alike_atoms_have_equal_charges_whichever_was_drawn_charged(model, smiles, alike, n_atoms):
    idxs = [idx for (idx,) in build(smiles).GetSubstructMatches(Chem.MolFromSmarts(alike))]
    assert len(idxs) == n_atoms
    assert numpy.ptp(compute(model, smiles)[idxs]) < EXACT


def test_drawing_a_group_in_another_way_does_not_change_the_charges(model):
    drawn = ["CCS(=O)CC", "CC[S+]([O-])CC"], ["CC[N+](=O)[O-]", "CCN(=O)=O"], ["c1ccn(=O)cc1", "c1cc[n+]([O-])cc1"]
    for first, second in drawn:
        assert compute(model, first) == pytest.approx(compute(model, second), abs=EXACT)


def test_stereochemistry_does_not_show_in_the_charges(model):
    assert compute(model, "C[C@H](N)C(=O)O") == pytest.approx(compute(model, "C[C@@H](N)C(=O)O"), abs=EXACT)


def test_a_batch_gives_what_one_molecule_at_a_time_gives(model, monkeypatch):
    monkeypatch.setattr("common.nagl.model.BATCH_ATOMS", 40)  # several batches, each of several molecules
    mols = [build(smiles) for smiles in VARIED]
    for mol, charges in zip(mols, model.compute_charges(mols), strict=True):
        assert charges == pytest.approx(model.compute_charges([mol])[0], abs=EXACT)


def test_a_salt_has_the_charges_of_its_ions(model):
    charges = compute(model, "CC(=O)[O-].C[NH3+]")
    mol = build("CC(=O)[O-].C[NH3+]")
    acetate, methylammonium = (list(idxs) for idxs in Chem.GetMolFrags(mol))
    assert charges[acetate] == pytest.approx(compute(model, "CC(=O)[O-]"), abs=EXACT)
    assert charges[methylammonium] == pytest.approx(compute(model, "C[NH3+]"), abs=SAME)  # tabulated, so rounded
    assert charges[acetate].sum() == pytest.approx(-1.0, abs=SAME)


def test_an_empty_list_gives_an_empty_list(model):
    assert model.compute_charges([]) == []


def test_charges_of_the_openff_stack(model):
    molecules = read("reference.json.gz")["molecules"]
    results = model.compute_charges([from_mapped_smiles(molecule["smiles"]) for molecule in molecules])
    assert len(results) == 99
    for molecule, charges in zip(molecules, results, strict=True):
        assert charges == pytest.approx(molecule["charges"], abs=SAME), molecule["smiles"]


def test_charges_of_openff_nagl_for_drugs_ions_and_unusual_groups(model):
    molecules = read("openff-nagl.json.gz")["molecules"]
    results = model.compute_charges([from_mapped_smiles(molecule["smiles"]) for molecule in molecules])
    assert len(results) == 682
    for molecule, charges in zip(molecules, results, strict=True):
        assert charges == pytest.approx(molecule["charges"], abs=SAME), molecule["smiles"]


def test_average_formal_charges_of_openff_nagl(model):
    molecules = [m for m in read("openff-nagl.json.gz")["molecules"] if m["average_formal_charges"] is not None]
    for molecule in molecules:
        mol = from_mapped_smiles(molecule["smiles"])
        (average,) = compute_atom_features(mol, [{"name": "atom_average_formal_charge"}]).T
        assert average == pytest.approx(molecule["average_formal_charges"], abs=SAME), molecule["smiles"]


def test_tabulated_charges_of_openff_nagl_in_any_atom_order(model):
    molecules = read("openff-nagl.json.gz")["tabulated"]
    results = model.compute_charges([from_mapped_smiles(molecule["smiles"]) for molecule in molecules])
    for molecule, charges in zip(molecules, results, strict=True):
        assert charges == pytest.approx(molecule["charges"], abs=SAME), molecule["smiles"]


def test_refusals_stand_in_their_place_and_say_which_molecule_and_why(model):
    methane, silane, borane, ethanol = model.compute_charges(
        [build(smiles) for smiles in ("C", "C[Si](C)(C)C", "CB(O)O", "CCO")]
    )
    assert isinstance(methane, numpy.ndarray) and isinstance(ethanol, numpy.ndarray)
    assert isinstance(silane, ChargeError) and str(silane) == "C[Si](C)(C)C: Molecule contains forbidden element 14"
    assert isinstance(borane, ChargeError) and str(borane) == "CB(O)O: Molecule contains forbidden element 5"
    reasons = [reason.removeprefix("ValueError: ") for _, reason in read("reference.json.gz")["failures"]]
    assert [str(error).split(": ", 1)[1] for error in (silane, borane)] == reasons


def test_a_forbidden_environment_is_refused(model):
    (error,) = model.compute_charges([build("CCCCSBr")])
    assert isinstance(error, ChargeError)
    assert "CCCCSBr: Molecule contains forbidden SMARTS pattern [#16:1]-[#35,#53:2]" in str(error)


def test_a_molecule_of_which_one_part_is_refused_is_refused(model):
    error, ethanol = model.compute_charges([build("CCCCCO.[Na+]"), build("CCO")])
    assert isinstance(error, ChargeError) and "forbidden element 11" in str(error)
    assert ethanol == pytest.approx(compute(model, "CCO"), abs=EXACT)


def test_the_table_comes_before_the_domain(model):
    """As in openff-nagl: methanesulfenyl bromide is tabulated, though its kind is forbidden."""
    assert compute(model, "CSBr").sum() == pytest.approx(0.0, abs=EXACT)


def test_radicals_are_refused(model):
    (error,) = model.compute_charges([build("CC[CH]CC")])
    assert isinstance(error, ChargeError) and "radical" in str(error)


def test_a_value_without_a_place_in_the_features_is_refused():
    with pytest.raises(ValueError, match="number of bonds 4 is outside"):
        compute_atom_features(build("CCO"), [{"name": "atom_connectivity", "categories": [1, 2, 3]}])


def test_the_model_knows_its_name_and_content(model):
    assert model.name == "openff-gnn-am1bcc-1.0.0.pt"
    assert model.sha256 == "7981e7f5b0b1e424c9e10a40d9e7606d96dcd3dd2b095cb4eeff6829f92238ee"


def test_a_model_loads_from_a_path(tmp_path, model):
    copy = tmp_path / "copy.pt"
    copy.write_bytes(find_weights(model.name).read_bytes())
    loaded = load_charge_model(copy)
    assert loaded.sha256 == model.sha256 and loaded.name == "copy.pt"


def test_an_unknown_model_is_named_with_those_that_exist():
    with pytest.raises(FileNotFoundError, match=r"no-such\.pt: no such charge model.*openff-gnn-am1bcc-1\.0\.0\.pt"):
        load_charge_model("no-such.pt")


def test_a_model_with_another_equilibration_is_refused():
    with pytest.raises(ValueError, match="'compute_partial_charges'"):
        load_charge_model("openff-gnn-am1bcc-0.0.1-alpha.1.pt")


def test_a_model_with_unknown_features_is_refused(model):
    weights = load_weights(find_weights(model.name))
    weights.config["atom_features"].append({"name": "atom_hybridization"})
    with pytest.raises(ValueError, match="atom_hybridization"):
        ChargeModel(weights)


def test_ring_membership_takes_one_smallest_set_of_rings():
    """Bicyclo[2.1.1]hexane: rings of four and five; of the two rings of five that are alike only one counts."""
    (members,) = compute_atom_features(build("C1CC2CC1C2"), [{"name": "atom_in_ring_of_size", "ring_size": 5}]).T
    assert members[:6].sum() == 5
