"""Many molecules at once: topologies, charges as rows of Electrostatics, failures."""

import dataclasses

import numpy
import pytest
import torch

from common.forcefields.parameter_file import load_parameters, save_parameters
from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles
from common.smirnoff.offxml import ForceFieldError, parse_force_field, read_force_field
from common.smirnoff.parameterize import CHUNK_SIZE, count_reasons, parameterize
from tests.helpers import ROOT

STARTER = ROOT / "example" / "starter.offxml"

WATER = "[O:1]([H:2])[H:3]"
ETHANOL = "[C:1]([C:2]([O:3][H:9])([H:7])[H:8])([H:4])([H:5])[H:6]"
SILANE = "[Si:1]([H:2])([H:3])([H:4])[H:5]"
BROMIDE = "[C:1]([Br:2])([H:3])([H:4])[H:5]"


@dataclasses.dataclass(frozen=True)
class FakeModel:
    """Charges that tell the atoms apart and add up to nothing; refuses bromine."""

    name: str
    sha256: str = "0" * 64

    def compute_charges(self, mols):
        return [self.compute(mol) for mol in mols]

    def compute(self, mol):
        if any(atom.GetAtomicNum() == 35 for atom in mol.GetAtoms()):
            return ValueError("CBr: the charge model does not know Br")
        return numpy.arange(mol.GetNumAtoms()) - (mol.GetNumAtoms() - 1) / 2.0


class OffModel(FakeModel):
    """Charges that do not add up."""

    def compute(self, mol):
        return numpy.full(mol.GetNumAtoms(), 1.0)


def map_smiles(smiles: str) -> str:
    return to_mapped_smiles(from_smiles(smiles))


@pytest.fixture(scope="module")
def force_field():
    return read_force_field(STARTER)


@pytest.fixture(scope="module")
def result(force_field):
    return parameterize(force_field, [WATER, ETHANOL, SILANE, "CCO", BROMIDE, map_smiles("c1ccccc1")], 1, FakeModel)


def test_failures_carry_their_reason(result):
    assert result.failures == {
        SILANE: "no vdW pattern for Si(1)",
        "CCO": "not fully mapped; every atom, hydrogens included, needs its own map number from 1 to 3",
        BROMIDE: "the charge model does not know Br",
    }
    assert list(result.topologies) == [WATER, ETHANOL, map_smiles("c1ccccc1")]


def test_charges_are_rows_of_the_molecule_or_of_the_library(result):
    electrostatics = result.force_field.potentials_by_type["Electrostatics"]
    maps = {smiles: topology.parameters["Electrostatics"] for smiles, topology in result.topologies.items()}
    charges = {smiles: electrostatics.parameters[map_.parameter_idxs, 0].tolist() for smiles, map_ in maps.items()}
    assert charges[WATER] == [-0.834, 0.417, 0.417]
    assert charges[ETHANOL] == [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    keys = [electrostatics.parameter_keys[row] for row in maps[ETHANOL].parameter_idxs]
    assert keys == [(ETHANOL, i) for i in range(9)]
    assert len(set(electrostatics.parameter_keys)) == len(electrostatics.parameter_keys)
    assert electrostatics.parameters.shape == (len(electrostatics.parameter_keys), 1)


def test_topology_of_ethanol(result):
    topology = result.topologies[ETHANOL]
    assert topology.atomic_nums.tolist() == [6, 6, 8, 1, 1, 1, 1, 1, 1]
    assert topology.bond_idxs.tolist() == topology.parameters["Bonds"].particle_idxs.tolist()
    assert [len(topology.parameters[name].particle_idxs) for name in ("Bonds", "Angles", "ImproperTorsions")] == [
        8,
        13,
        0,
    ]
    assert torch.equal(topology.parameters["vdW"].exclusions, topology.parameters["Electrostatics"].exclusions)
    for map_ in topology.parameters.values():
        assert all(tensor.dtype == torch.int64 for tensor in vars(map_).values())


def test_bond_orders_are_those_of_a_lewis_structure(result):
    topology = result.topologies[map_smiles("c1ccccc1")]
    assert sorted(topology.bond_orders.tolist()) == [1] * 9 + [2] * 3
    ring = topology.bond_idxs[topology.bond_orders == 2]
    assert sorted(ring.flatten().tolist()) == list(range(6))


def test_formal_charges_reach_the_topology(force_field):
    acetate = map_smiles("CC(=O)[O-]")
    result = parameterize(formal_charge_field(force_field), [acetate], 1, FakeModel)
    charges = result.force_field.potentials_by_type["Electrostatics"].parameters[-7:, 0]
    assert result.topologies[acetate].formal_charges.tolist() == charges.tolist() == [0, 0, 0, -1, 0, 0, 0]


def formal_charge_field(force_field):
    text = force_field.text.replace(
        '<NAGLCharges version="0.3" model_file="openff-gnn-am1bcc-1.0.0.pt">',
        '<ChargeIncrementModel version="0.3" partial_charge_method="formal_charge">',
    ).replace("</NAGLCharges>", "</ChargeIncrementModel>")
    return parse_force_field(text, "formal.offxml")


def test_provenance(result, force_field):
    assert result.provenance["force_field"] == "starter.offxml"
    assert result.provenance["force_field_sha256"] == force_field.sha256
    assert result.provenance["offxml"] == STARTER.read_text()
    assert result.provenance["charge_model"] == "LibraryCharges, then openff-gnn-am1bcc-1.0.0.pt (NAGLCharges)"
    assert result.provenance["charge_model_sha256"] == "0" * 64
    assert result.provenance["engine"] == "builtin"
    assert {"python", "rdkit", "torch", "numpy"} <= set(result.provenance["versions"])


def test_processes_give_what_one_process_gives(force_field, tmp_path):
    smiles = [map_smiles("C" * n) for n in range(1, CHUNK_SIZE + 3)]  # two chunks
    results = [parameterize(force_field, smiles, n_workers, FakeModel) for n_workers in (1, 2)]
    assert list(results[0].topologies) == list(results[1].topologies) == smiles
    for first, second in zip(*(r.force_field.potentials for r in results), strict=True):
        assert torch.equal(first.parameters, second.parameters)
        assert first.parameter_keys == second.parameter_keys
    save_parameters(tmp_path / "some.pt", results[1])
    again = load_parameters(tmp_path / "some.pt")
    for text, topology in results[0].topologies.items():
        for type_, map_ in topology.parameters.items():
            for name, tensor in vars(map_).items():
                assert torch.equal(tensor, getattr(again.topologies[text].parameters[type_], name))


def test_charges_that_do_not_add_up_are_refused(force_field):
    result = parameterize(force_field, [ETHANOL], 1, OffModel)
    assert result.failures == {ETHANOL: "its charges add up to 9.000 e, its formal charge is 0 e"}


def test_the_hash_of_the_charge_model_is_checked(force_field):
    text = force_field.text.replace('model_file="', 'model_file_hash="123" model_file="')
    for n_workers in (1, 2):  # in processes, too, the fault comes in its own words
        with pytest.raises(ForceFieldError, match="the force field expects 123"):
            parameterize(parse_force_field(text, "mine.offxml"), [ETHANOL] * 2 * CHUNK_SIZE, n_workers, FakeModel)


def test_no_charges_for_a_molecule(force_field):
    text = force_field.text.replace("NAGLCharges", "VirtualSites").replace(
        'model_file="openff-gnn-am1bcc-1.0.0.pt"', ""
    )
    result = parameterize(parse_force_field(text, "mine.offxml"), [WATER, ETHANOL], 1, FakeModel)
    assert list(result.topologies) == [WATER]
    assert "names no charge model" in result.failures[ETHANOL]


def test_without_electrostatics_there_are_no_charges():
    bonds = '<Bonds version="0.3"><Bond smirks="[*:1]~[*:2]" length="1*angstrom" k="1*kcal/mol/angstrom**2"/></Bonds>'
    text = (
        f'<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL">{bonds}<ToolkitAM1BCC version="0.3"/></SMIRNOFF>'
    )
    result = parameterize(parse_force_field(text, "bonds.offxml"), [ETHANOL], 1, FakeModel)
    assert [potential.type for potential in result.force_field.potentials] == ["Bonds"]
    assert list(result.topologies[ETHANOL].parameters) == ["Bonds"]


def test_reasons_are_counted_without_atom_numbers():
    failures = {"A": "no Bonds pattern for C(3)-Si(7)", "B": "other", "C": "no Bonds pattern for C(1)-Si(2)"}
    assert count_reasons(failures) == [("no Bonds pattern for C-Si", 2, "A"), ("other", 1, "B")]
