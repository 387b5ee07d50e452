"""Assignment: what a force field says about molecules, against the OpenFF stack and against what must hold."""

import gzip
import json

import numpy
import pytest
from rdkit import Chem

from common.forcefields.tensors import ParameterKey
from common.forcefields.terms import ENERGY_FUNCTIONS, PARAMETER_UNITS
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles
from common.smirnoff.assignment import Assigner, AssignmentError, build_potentials, find_exclusions, list_propers
from common.smirnoff.offxml import parse_force_field, read_force_field
from tests.helpers import DATA, ROOT, SHARED

PARITY = DATA / "parity" / "openff-2.1.0.json.gz"
SAGE = SHARED / "force-fields"

PARITY_TOLERANCE = 1e-10
"""Relative; unit conversions of the OpenFF stack round differently in the last digits."""

ETHANOL = "[C:1]([C:2]([O:3][H:9])([H:7])[H:8])([H:4])([H:5])[H:6]"
WATER = "[O:1]([H:2])[H:3]"
ANY_BOND = '<Bond smirks="[*:1]~[*:2]" length="1 * angstrom" k="1 * kilocalorie/mole/angstrom**2"/>'


def make_force_field(sections: str):
    text = f'<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL">{sections}</SMIRNOFF>'
    return parse_force_field(text, "test.offxml")


@pytest.fixture(scope="module")
def parity() -> dict:
    return json.loads(gzip.decompress(PARITY.read_bytes()))


@pytest.fixture(scope="module")
def starter():
    return read_force_field(ROOT / "example" / "starter.offxml")


def read_sage(name: str):
    path = SAGE / name
    if not path.is_file():
        pytest.skip(f"{name} is not at hand; it is not part of the repository")
    return read_force_field(path)


@pytest.mark.parametrize("name", ["openff_unconstrained-2.1.0.offxml", "openff-2.1.0.offxml"])
def test_every_term_agrees_with_the_openff_stack(parity, name):
    force_field = read_sage(name)
    assigner = Assigner(force_field)
    potentials = {potential.type: potential for potential in build_potentials(force_field)}
    assert len(parity["molecules"]) == 99
    for molecule in parity["molecules"]:
        assignment = assigner.assign(from_mapped_smiles(molecule["smiles"]))
        vdw = numpy.arange(len(assignment.vdw_idxs))[:, None], assignment.vdw_idxs
        for type_, (particles, rows) in {**assignment.valence, "vdW": vdw}.items():
            if molecule["smiles"] == WATER and type_ in ("Bonds", "Angles"):
                assert (molecule[type_], len(particles)) == ([], {"Bonds": 2, "Angles": 1}[type_])
                continue
            potential, table = potentials[type_], parity["parameters"][type_]
            expected = [(row[:-1], table[row[-1]]["smirks"], table[row[-1]]["mult"]) for row in molecule[type_]]
            found = [(p.tolist(), *potential.parameter_keys[row]) for p, row in zip(particles, rows, strict=True)]
            assert found == expected, (molecule["smiles"], type_)
            values = [table[row[-1]]["values"] for row in molecule[type_]]
            found = potential.parameters.numpy()[rows].tolist()
            assert found == [pytest.approx(row, rel=PARITY_TOLERANCE) for row in values], (molecule["smiles"], type_)


def test_columns_are_those_of_the_openff_stack(parity):
    for type_, columns in parity["columns"].items():
        assert tuple(columns) == tuple(PARAMETER_UNITS[type_])


def test_constrained_bonds_keep_their_terms(starter):
    assert starter.sections["Constraints"].parameters[0].smirks == "[#1:1]-[*:2]"
    particles, rows = Assigner(starter).assign(from_mapped_smiles(ETHANOL)).valence["Bonds"]
    assert len(particles) == len(rows) == 8
    assert len(Assigner(starter).assign(from_mapped_smiles(WATER)).valence["Angles"][0]) == 1


def test_water_is_made_of_its_own_parameters(starter):
    assignment = Assigner(starter).assign(from_mapped_smiles(WATER))
    charges = next(p for p in build_potentials(starter) if p.type == "Electrostatics")
    assert charges.parameters[assignment.library_idxs, 0].tolist() == [-0.834, 0.417, 0.417]


def test_library_charges_must_cover_the_whole_molecule():
    charge = '<LibraryCharge smirks="[#8:1]" charge1="-0.5 * elementary_charge"/>'
    hydrogen = '<LibraryCharge smirks="[#1:1]" charge1="0.25 * elementary_charge"/>'
    for charges, covered in ((charge, False), (charge + hydrogen, True)):
        force_field = make_force_field(f'<LibraryCharges version="0.3">{charges}</LibraryCharges>')
        assert (Assigner(force_field).assign(from_mapped_smiles(WATER)).library_idxs is not None) == covered


def test_the_last_matching_pattern_counts():
    special = ANY_BOND.replace("[*:1]", "[#8:1]")
    for patterns, expected in ((ANY_BOND + special, [0, 1]), (special + ANY_BOND, [1])):
        force_field = make_force_field(f'<Bonds version="0.3">{patterns}</Bonds>')
        rows = Assigner(force_field).assign(from_mapped_smiles(ETHANOL)).valence["Bonds"][1]
        assert sorted(set(rows.tolist())) == expected


def test_terms_do_not_depend_on_the_order_of_the_atoms(starter):
    mol = from_smiles("CC(=O)Nc1ccccc1")
    order = numpy.random.default_rng(0).permutation(mol.GetNumAtoms())
    renumbered = Chem.RenumberAtoms(mol, order.tolist())
    for type_, (particles, rows) in Assigner(starter).assign(mol).valence.items():
        others, other_rows = Assigner(starter).assign(renumbered).valence[type_]
        ends = {"ImproperTorsions": lambda atoms: (atoms[0], *sorted(atoms[1:]))}.get(
            type_, lambda atoms: min(tuple(atoms), tuple(atoms[::-1]))
        )
        before = sorted((*ends(atoms), row) for atoms, row in zip(particles.tolist(), rows.tolist(), strict=True))
        after = sorted(
            (*ends(order[atoms].tolist()), row) for atoms, row in zip(others, other_rows.tolist(), strict=True)
        )
        assert before == after


def test_an_improper_has_three_paths_around_its_centre(starter):
    mol = from_mapped_smiles("[O:1]=[C:2]([H:3])[H:4]")
    particles, rows = Assigner(starter).assign(mol).valence["ImproperTorsions"]
    assert particles.tolist() == [[1, 0, 2, 3], [1, 2, 3, 0], [1, 3, 0, 2]]
    assert len(set(rows.tolist())) == 1


def test_a_torsion_with_several_terms_occurs_once_for_each(starter):
    mol = from_mapped_smiles("[C:1]([C:2]([O:3][H:9])([H:7])[H:8])([F:4])([H:5])[H:6]")
    particles, rows = Assigner(starter).assign(mol).valence["ProperTorsions"]
    own = rows[(particles == [2, 1, 0, 3]).all(1) | (particles == [3, 0, 1, 2]).all(1)]
    potential = next(p for p in build_potentials(starter) if p.type == "ProperTorsions")
    keys = [potential.parameter_keys[row] for row in own]
    assert len({key.id for key in keys}) == 1
    assert [key.mult for key in keys] == [0, 1]


def test_more_matches_than_rdkit_finds_by_default():
    mol = from_smiles("C" * 130)  # each torsion pattern matches some 2,000 times
    torsion = '<Proper smirks="[*:1]~[*:2]~[*:3]~[*:4]" k1="1*kilocalorie/mole" periodicity1="3" phase1="0*degree"/>'
    assigner = Assigner(make_force_field(f'<ProperTorsions version="0.3">{torsion}</ProperTorsions>'))
    particles, _ = assigner.assign(mol).valence["ProperTorsions"]
    assert len(particles) == len(list_propers(mol)) == 129 * 9


def test_aromaticity_is_that_of_smirnoff():
    aromatic = ANY_BOND.replace("~", ":")
    assigner = Assigner(make_force_field(f'<Bonds version="0.3">{ANY_BOND}{aromatic}</Bonds>'))
    for smiles, n_aromatic in (("c1ccccc1", 6), ("c1cc[nH]c1", 0)):  # MDL: no aromatic rings of five atoms
        assert (assigner.assign(from_smiles(smiles)).valence["Bonds"][1] == 1).sum() == n_aromatic


def test_exclusions_count_each_pair_once_by_its_shortest_path():
    pairs, scales = find_exclusions(from_mapped_smiles(ETHANOL))
    found = {tuple(pair): scale for pair, scale in zip(pairs.tolist(), scales[:, 0].tolist(), strict=True)}
    assert len(found) == len(pairs)
    assert (found[0, 1], found[0, 2], found[0, 8], found.get((3, 8))) == (0, 1, 2, None)
    assert [list(found.values()).count(scale) for scale in range(3)] == [8, 13, 12]
    ring = from_smiles("C1CCC1")
    pairs, scales = find_exclusions(ring)
    carbons = [scale for (i, j), (scale,) in zip(pairs.tolist(), scales.tolist(), strict=True) if j < 4]
    assert sorted(carbons) == [0, 0, 0, 0, 1, 1]  # across the ring 1-3 by two paths, never 1-4


def test_a_lone_atom():
    mol = from_mapped_smiles("[Na+:1]")
    sections = (
        '<Bonds version="0.3"/><vdW version="0.3"><Atom smirks="[*:1]" sigma="1*angstrom" epsilon="0*kcal/mol"/></vdW>'
    )
    assignment = Assigner(make_force_field(sections)).assign(mol)
    assert assignment.valence["Bonds"][0].shape == (0, 2)
    assert assignment.vdw_idxs.tolist() == [0]
    assert assignment.exclusions.shape == (0, 2)


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C[Si](C)(C)C", r"^no vdW pattern for Si\(2\)$"),
        ("[Na+].[Cl-]", "^more than one molecule"),
    ],
)
def test_refuses_molecules(starter, smiles, reason):
    with pytest.raises(AssignmentError, match=reason):
        Assigner(starter).assign(from_smiles(smiles))


def test_names_the_terms_without_a_pattern():
    only_carbon = ANY_BOND.replace("[*:", "[#6:")
    assigner = Assigner(make_force_field(f'<Bonds version="0.3">{only_carbon}</Bonds>'))
    with pytest.raises(
        AssignmentError, match=r"^no Bonds pattern for C\(1\)-H\(4\), C\(1\)-H\(5\), C\(1\)-H\(6\) and 4 more$"
    ):
        assigner.assign(from_mapped_smiles(ETHANOL))


def test_tensors_hold_every_row_of_the_file(starter):
    potentials = {potential.type: potential for potential in build_potentials(starter)}
    assert list(potentials) == ["Bonds", "Angles", "ProperTorsions", "ImproperTorsions", "vdW", "Electrostatics"]
    for type_, potential in potentials.items():
        parameters = starter.sections["LibraryCharges" if type_ == "Electrostatics" else type_].parameters
        keys = [
            ParameterKey(p.smirks, None if type_ in ("Bonds", "Angles", "vdW") else mult)
            for p in parameters
            for mult in range(len(p.values))
        ]
        assert list(potential.parameter_keys) == keys
        assert potential.parameters.shape == (len(keys), len(PARAMETER_UNITS[type_]))
        assert potential.fn == ENERGY_FUNCTIONS[type_]
    assert potentials["vdW"].attribute_cols == (
        "scale_12",
        "scale_13",
        "scale_14",
        "scale_15",
        "cutoff",
        "switch_width",
    )
    assert potentials["vdW"].attribute("scale_14") == 0.5
    assert potentials["Electrostatics"].attribute_cols == ("scale_12", "scale_13", "scale_14", "scale_15", "cutoff")
    assert potentials["Electrostatics"].attribute("scale_14") == 0.8333333333
    assert potentials["Bonds"].attributes is None


def test_missing_sections_are_left_out():
    force_field = make_force_field(f'<Bonds version="0.3">{ANY_BOND}</Bonds>')
    assert [potential.type for potential in build_potentials(force_field)] == ["Bonds"]
    assignment = Assigner(force_field).assign(from_mapped_smiles(ETHANOL))
    assert list(assignment.valence) == ["Bonds"]
    assert assignment.vdw_idxs is None
