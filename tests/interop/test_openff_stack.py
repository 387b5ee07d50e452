"""The OpenFF stack: the same record as the built-in engine, and smee's objects there and back.

The tests of the first part run everywhere. The others need openff-toolkit, openff-interchange, openff-nagl, smee and
(one of them) descent, and are skipped without them; environment.yml installs them.
"""

import dataclasses
import importlib.util
import subprocess
import sys

import numpy
import pytest
import torch

from common.data.dataset import open_dataset, read_entries
from common.fitting.outputs import save_unconstrained
from common.forcefields.energy import compute_energy, compute_energy_by_type, compute_forces
from common.forcefields.tensors import TensorForceField
from common.interop.openff_stack import (
    check_available,
    from_smee,
    is_available,
    list_versions,
    parameterize_with_openff,
    sort_terms,
    to_smee,
)
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from common.smirnoff.assignment import build_potentials
from common.smirnoff.offxml import parse_force_field, read_force_field
from common.smirnoff.offxml_writer import format_offxml, write_offxml
from common.smirnoff.parameterize import parameterize
from tests.helpers import ROOT, SHARED, change_parameters, make_entries, write_dataset

STARTER = ROOT / "example" / "starter.offxml"
SAGE = SHARED / "force-fields" / "openff-2.1.0.offxml"

CHARGE_TOLERANCE = 1e-5
"""[e]: what the project promises; the network's weights are float32, so that 1e-7 is what can be had."""

ENERGY_TOLERANCE = 1e-9
"""Relative, for sums of the same terms in float64; Coulomb's constant has two spellings that differ by less."""

needs_stack = pytest.mark.skipif(not is_available(), reason="needs the OpenFF stack (environment.yml)")
needs_descent = pytest.mark.skipif(
    not is_available() or importlib.util.find_spec("descent.targets") is None, reason="needs descent (environment.yml)"
)
pytestmark = pytest.mark.filterwarnings("ignore::Warning")  # the stack's own, of which there are many

WATER = "[O:1]([H:2])[H:3]"
ETHANOL = "[C:1]([C:2]([O:3][H:9])([H:7])[H:8])([H:4])([H:5])[H:6]"
SILANE = "[Si:1]([H:2])([H:3])([H:4])[H:5]"


def map_smiles(smiles: str) -> str:
    return to_mapped_smiles(from_smiles(smiles))


# --- without the stack ------------------------------------------------------------------------------------------------


def test_without_the_stack_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not is_available()
    with pytest.raises(RuntimeError, match=r"openff.toolkit, openff.interchange, openff.nagl, smee .* environment.yml"):
        check_available()


@pytest.mark.skipif(is_available(), reason="the stack is there")
def test_stage_002_refuses_the_engine_in_a_line(tmp_path):
    (tmp_path / "one.smi").write_text(WATER)
    command = [sys.executable, ROOT / "002-parameterize.py", "--engine", "openff", "--force-field", STARTER]
    done = subprocess.run([*command, "--smiles", "one.smi"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: the OpenFF stack is not installed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("type_", ["Bonds", "Angles", "ProperTorsions", "ImproperTorsions"])
def test_terms_in_any_order_and_direction_come_back_in_ours(parity_molecules, type_):
    random = numpy.random.default_rng(0)
    n_terms = 0
    for topology in parity_molecules.topologies.values():
        map_ = topology.parameters[type_]
        atoms, rows = sort_terms(type_, map_.particle_idxs.numpy(), map_.parameter_idxs.numpy())
        order = random.permutation(len(rows))
        shuffled = atoms[order]
        if type_ != "ImproperTorsions":  # an improper has no other end to be read from
            flip = random.random(len(rows)) < 0.5
            shuffled[flip] = shuffled[flip, ::-1]
            assert (atoms[:, 0] < atoms[:, -1]).all()
        again = sort_terms(type_, shuffled, rows[order])
        assert numpy.array_equal(again[0], atoms)
        assert numpy.array_equal(again[1], rows)
        n_terms += len(rows)
    assert n_terms > 100


# --- the engine -------------------------------------------------------------------------------------------------------

SODIUM = "[Na+:1]"
HYDROGEN_CHLORIDE = "[Cl:1][H:2]"
SMILES = [
    SODIUM,
    HYDROGEN_CHLORIDE,
    WATER,
    ETHANOL,
    SILANE,
    map_smiles("CC(=O)[O-]"),
    map_smiles("C[N+](=O)[O-]"),
    map_smiles("c1ccncc1O"),
    map_smiles("C[C@H](F)Cl"),
]


def read_starter():
    """The starter with the section for charges that every version of the toolkit knows."""
    text = STARTER.read_text()
    start, end = text.index("<NAGLCharges"), text.index("</NAGLCharges>") + len("</NAGLCharges>")
    return parse_force_field(text[:start] + '<ToolkitAM1BCC version="0.3"/>' + text[end:], "starter.offxml")


def assert_same_record(ours, theirs):
    assert list(ours.topologies) == list(theirs.topologies)
    assert set(ours.failures) == set(theirs.failures)
    for potential, other in zip(ours.force_field.potentials, theirs.force_field.potentials, strict=True):
        assert potential.parameter_keys == other.parameter_keys
        for name in ("type", "fn", "parameter_cols", "parameter_units", "attribute_cols", "attribute_units"):
            assert getattr(potential, name) == getattr(other, name)
        tolerance = CHARGE_TOLERANCE if potential.type == "Electrostatics" else 0.0
        assert (potential.parameters - other.parameters).abs().max() <= tolerance
    for smiles, topology in ours.topologies.items():
        other = theirs.topologies[smiles]
        for name in ("atomic_nums", "formal_charges", "bond_idxs", "bond_orders"):
            assert torch.equal(getattr(topology, name), getattr(other, name)), (smiles, name)
        for type_, map_ in topology.parameters.items():
            for name, tensor in vars(map_).items():
                assert torch.equal(tensor, getattr(other.parameters[type_], name)), (smiles, type_, name)


@needs_stack
def test_the_engine_gives_the_record_of_the_built_in_one():
    force_field = read_starter()
    ours = parameterize(force_field, SMILES, 1)
    theirs = parameterize_with_openff(force_field, SMILES, 1)
    assert_same_record(ours, theirs)
    assert theirs.failures[SILANE]
    assert SODIUM in theirs.topologies
    assert theirs.provenance["engine"] == "openff"
    assert set(list_versions()) < set(theirs.provenance["versions"])
    assert theirs.provenance.keys() == ours.provenance.keys()


@needs_stack
@pytest.mark.skipif(not SAGE.is_file(), reason=f"needs {SAGE}")
def test_the_engine_keeps_the_terms_that_constraints_fix():
    force_field = read_force_field(SAGE)
    theirs = parameterize_with_openff(force_field, SMILES, 1)
    assert_same_record(parameterize(force_field, SMILES, 1), theirs)
    assert len(theirs.topologies[ETHANOL].parameters["Bonds"].particle_idxs) == 8
    assert len(theirs.topologies[WATER].parameters["Bonds"].particle_idxs) == 2
    electrostatics = theirs.force_field.potentials_by_type["Electrostatics"]
    rows = theirs.topologies[WATER].parameters["Electrostatics"].parameter_idxs
    assert electrostatics.parameters[rows, 0].tolist() == [-0.834, 0.417, 0.417]  # library charges, not the network's


@needs_stack
def test_the_unconstrained_file_of_a_fit_gives_the_fitted_energies_by_the_toolkit(tmp_path):
    """The file that a user takes away, applied by the toolkit: the energies of the fit, to 1e-4 kcal/mol."""
    source = read_starter()
    start = parameterize(source, [ETHANOL], n_workers=1)
    fitted = change_parameters(start.force_field, ("Bonds", "Angles", "ProperTorsions"), seed=1)
    write_offxml(source.text, fitted, tmp_path / "force-field.offxml")
    save_unconstrained(tmp_path / "force-field")
    theirs = parameterize_with_openff(read_force_field(tmp_path / "force-field-unconstrained.offxml"), [ETHANOL], 1)
    coords = torch.from_numpy(embed_conformers(from_mapped_smiles(ETHANOL), 3, seed=1))
    found = compute_energy(theirs.topologies[ETHANOL], theirs.force_field, coords)
    assert (found - compute_energy(start.topologies[ETHANOL], fitted, coords)).abs().max() < 1e-4


@needs_stack
@pytest.mark.skipif(not SAGE.is_file(), reason=f"needs {SAGE}")
def test_fitted_values_are_read_by_the_toolkit():
    from openff.toolkit import ForceField

    source = read_force_field(SAGE)
    random = numpy.random.default_rng(0)
    fitted = []
    for potential in build_potentials(source):
        names = {"k", "length", "angle", "epsilon", "sigma"}
        values = potential.parameters.clone()
        for column, name in enumerate(potential.parameter_cols):
            if name in names:
                values[:, column] *= torch.from_numpy(random.uniform(0.5, 1.5, len(values)))
        fitted.append(TensorForceField((potential,)).replace_parameters({potential.type: values}).potentials[0])
    toolkit = ForceField(format_offxml(source.text, TensorForceField(tuple(fitted)), ["fitted at random"]))
    n_values = 0
    for potential in fitted[:-1]:  # Electrostatics has no values of its own
        handler = {
            parameter.smirks: parameter for parameter in toolkit.get_parameter_handler(potential.type).parameters
        }
        for key, values in zip(potential.parameter_keys, potential.parameters.tolist(), strict=True):
            for name, unit, value in zip(potential.parameter_cols, potential.parameter_units, values, strict=True):
                found = getattr(handler[key.id], name)
                if name == "idivf" and found is None:
                    continue  # default_idivf="auto"
                found = found if key.mult is None else found[key.mult]
                if not isinstance(found, int | float):
                    found = found.m_as(unit)
                assert found == pytest.approx(value, rel=1e-14), (potential.type, key, name)
                n_values += 1
    assert n_values > 1000


@pytest.fixture
def parity_force_field(parity_molecules):
    """With the cut-off that smee looks for, though it takes none in the gas phase."""
    potentials = []
    for potential in parity_molecules.force_field.potentials:
        if potential.attributes is not None:
            potential = dataclasses.replace(
                potential,
                attributes=torch.cat([potential.attributes, torch.tensor([9.0], dtype=torch.float64)]),
                attribute_cols=(*potential.attribute_cols, "cutoff"),
                attribute_units=(*potential.attribute_units, "angstrom"),
            )
        potentials.append(potential)
    return TensorForceField(tuple(potentials))


# --- smee -------------------------------------------------------------------------------------------------------------


@needs_stack
def test_to_smee_and_back_is_the_identity(parity_molecules):
    ours = parity_molecules.force_field
    smiles = list(parity_molecules.topologies)
    force_field, topologies = from_smee(*to_smee(ours, list(parity_molecules.topologies.values())))
    for potential, other in zip(ours.potentials, force_field.potentials, strict=True):
        for name, value in vars(potential).items():
            same = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
            assert same(value, getattr(other, name)), (potential.type, name)
    for text, other in zip(smiles, topologies, strict=True):
        topology = parity_molecules.topologies[text]
        for name in ("atomic_nums", "formal_charges", "bond_idxs", "bond_orders"):
            assert torch.equal(getattr(topology, name), getattr(other, name))
        assert list(topology.parameters) == list(other.parameters)
        for type_, map_ in topology.parameters.items():
            for name, tensor in vars(map_).items():
                assert torch.equal(tensor, getattr(other.parameters[type_], name)), (text, type_, name)


@pytest.fixture
def float64(monkeypatch):
    """Lets smee count in float64: its 0.16 casts every conformer to float32, where sums agree to 1e-6 at best."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


@needs_stack
def test_energies_by_smee_are_ours(parity_molecules, parity_force_field, parity_energies, float64):
    import smee

    smiles = [record["smiles"] for record in parity_energies]
    topologies = [parity_molecules.topologies[text] for text in smiles]
    force_field, smee_topologies = to_smee(parity_force_field, topologies)
    for record, ours, theirs in zip(parity_energies, topologies, smee_topologies, strict=True):
        coords = torch.tensor(record["coords"], dtype=torch.float64, requires_grad=True)
        energy = smee.compute_energy(theirs, force_field, coords)
        (gradient,) = torch.autograd.grad(energy.sum(), coords)
        with torch.no_grad():
            assert torch.allclose(
                energy, compute_energy(ours, parity_molecules.force_field, coords), rtol=ENERGY_TOLERANCE, atol=1e-8
            )
            forces = compute_forces(ours, parity_molecules.force_field, coords)
            assert (forces + gradient).abs().max() < 1e-9 * forces.abs().max() + 1e-8, record["smiles"]


@needs_stack
def test_what_interchange_and_smee_make_becomes_ours_and_goes_back(float64):
    import smee
    import smee.converters
    from openff.interchange import Interchange
    from openff.toolkit import ForceField, Molecule

    toolkit = ForceField(read_starter().text.replace("<ToolkitAM1BCC", "<VirtualSites"))
    molecules = [
        Molecule.from_mapped_smiles(text) for text in (ETHANOL, map_smiles("CC(=O)[O-]"), map_smiles("c1ccccc1"))
    ]
    interchanges = []
    for molecule in molecules:
        molecule.partial_charges = numpy.linspace(-0.2, 0.2, molecule.n_atoms) * _charge_unit()
        molecule.partial_charges = molecule.partial_charges + molecule.total_charge / molecule.n_atoms
        interchanges.append(
            Interchange.from_smirnoff(toolkit, molecule.to_topology(), charge_from_molecules=[molecule])
        )
    theirs, their_topologies = smee.converters.convert_interchange(interchanges)
    ours, our_topologies = from_smee(theirs, their_topologies)
    again, topologies_again = to_smee(ours, our_topologies)
    random = torch.Generator().manual_seed(0)
    for i, topology in enumerate(our_topologies):
        coords = 2.0 * torch.rand(2, topology.n_atoms, 3, generator=random, dtype=torch.float64)
        coords += torch.arange(topology.n_atoms)[:, None]  # no two atoms are close
        expected = smee.compute_energy(their_topologies[i], theirs, coords)
        assert torch.allclose(compute_energy(topology, ours, coords), expected, rtol=ENERGY_TOLERANCE)
        assert torch.equal(smee.compute_energy(topologies_again[i], again, coords), expected)
        assert sum(compute_energy_by_type(topology, ours, coords).values()).tolist() == pytest.approx(expected.tolist())
    assert [potential.parameter_units for potential in again.potentials] == [
        potential.parameter_units for potential in theirs.potentials
    ]


def _charge_unit():
    import openff.units

    return openff.units.unit.elementary_charge


@needs_stack
def test_what_our_records_cannot_hold_is_refused(parity_molecules):
    import smee

    topology = parity_molecules.topologies[ETHANOL]
    force_field, (converted,) = to_smee(parity_molecules.force_field, [topology])
    bonds = converted.parameters["Bonds"]
    bonds.assignment_matrix = (2.0 * bonds.assignment_matrix).coalesce()
    with pytest.raises(ValueError, match="Bonds: an atom or interaction with several parameters"):
        from_smee(force_field, [converted])
    sites = smee.TensorVSites(keys=["a lone pair"], weights=[], parameters=torch.zeros(1, 3))
    with pytest.raises(ValueError, match="virtual sites"):
        from_smee(smee.TensorForceField(force_field.potentials, sites), [])
    force_field.potentials[0].fn = "morse"
    with pytest.raises(ValueError, match="Bonds, morse: potentials of this type"):
        from_smee(force_field, [])


@needs_stack
def test_single_precision_and_other_units_come_back_in_ours(parity_molecules):
    import openff.units

    ours = parity_molecules.force_field
    force_field, topologies = to_smee(ours, list(parity_molecules.topologies.values())[:3])
    bonds = force_field.potentials[0]
    bonds.parameters = bonds.parameters * torch.tensor([418.4, 0.1], dtype=torch.float64)
    unit = openff.units.unit
    bonds.parameter_units = (unit.kilojoule / unit.mole / unit.nanometer**2, unit.nanometer)
    again, _ = from_smee(
        force_field.to(precision="single"), [topology.to(precision="single") for topology in topologies]
    )
    for potential, other in zip(ours.potentials, again.potentials, strict=True):
        assert other.parameter_units == potential.parameter_units
        assert other.parameters.dtype == torch.float64
        assert torch.allclose(potential.parameters, other.parameters, rtol=2e-7)  # float32 keeps 24 bits


# --- descent ----------------------------------------------------------------------------------------------------------


@needs_descent
def test_descent_reads_our_data_sets(parity_molecules, parity_force_field, parity_energies, tmp_path, float64):
    import descent.targets.energy

    entries = make_entries(parity_energies[20:26], n_confs=4)
    write_dataset(tmp_path / "ours", entries)
    dataset = open_dataset(tmp_path / "ours").with_format("torch", dtype=torch.float64)
    assert descent.targets.energy.extract_smiles(dataset) == sorted({entry.smiles for entry in entries})
    smiles = [entry.smiles for entry in entries]
    force_field, topologies = to_smee(parity_force_field, [parity_molecules.topologies[text] for text in smiles])
    found = descent.targets.energy.predict(
        dataset, force_field, dict(zip(smiles, topologies, strict=True)), normalize=False
    )
    energies, forces = [], []
    for entry in entries:
        topology, coords = parity_molecules.topologies[entry.smiles], torch.from_numpy(entry.coords)
        energy = compute_energy(topology, parity_molecules.force_field, coords)
        energies.append(energy - energy.mean())
        forces.append(compute_forces(topology, parity_molecules.force_field, coords).reshape(-1, 3))
    expected = (
        torch.cat([torch.from_numpy(entry.energy) for entry in entries]),
        torch.cat(energies),
        torch.cat([torch.from_numpy(entry.forces).reshape(-1, 3) for entry in entries]),
        torch.cat(forces),
    )
    for tensor, other in zip(found, expected, strict=True):
        assert torch.allclose(tensor.detach(), other, rtol=1e-9, atol=1e-8)


@needs_descent
def test_data_sets_of_descent_open_here(parity_energies, tmp_path):
    import descent.targets.energy

    entries = make_entries(parity_energies[:5], n_confs=3)
    dataset = descent.targets.energy.create_dataset(
        [
            {"smiles": e.smiles, "coords": e.coords.tolist(), "energy": e.energy.tolist(), "forces": e.forces.tolist()}
            for e in entries
        ]
    )
    dataset.save_to_disk(str(tmp_path / "theirs"))
    for ours, theirs in zip(entries, read_entries(open_dataset(tmp_path / "theirs")), strict=True):
        assert ours.smiles == theirs.smiles
        for name in ("coords", "energy", "forces"):
            # descent passes values through torch.tensor, which makes them float32
            assert numpy.allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6, atol=1e-6)
