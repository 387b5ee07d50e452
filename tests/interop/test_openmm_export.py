"""Exported systems give OpenMM's Reference platform our energies and forces; constraints only when asked for."""

import subprocess
import sys

import numpy
import pytest
import torch

from common.fitting.outputs import save_unconstrained
from common.forcefields.energy import compute_energy, compute_energy_by_type, compute_forces_by_type
from common.forcefields.parameter_file import load_parameters, save_fitted_force_field, save_parameters
from common.interop.openmm_export import (
    FORCE_GROUPS,
    KILOJOULE_PER_KILOCALORIE,
    NANOMETER_PER_ANGSTROM,
    build_openmm_system,
    find_constraints,
    find_molecule,
    load_openmm,
    write_openmm_xml,
)
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from common.smirnoff.offxml import parse_force_field, read_force_field
from common.smirnoff.offxml_writer import write_offxml
from common.smirnoff.parameterize import parameterize
from tests.helpers import ROOT, change_parameters

openmm = pytest.importorskip("openmm", reason="OpenMM is an optional dependency (requirements-dev.txt)")


RELATIVE = 1e-7
"""Found: 3e-14 with OpenMM 8.6; older versions have Coulomb's constant of CODATA 2014, which differs by 1e-8. The
project promises 1e-5."""

ABSOLUTE = 1e-7
"""[kcal/mol], [kcal/mol/Angstrom] for sums that cancel."""

GROUPS = {0: ("Bonds",), 1: ("Angles",), 2: ("ProperTorsions",), 3: ("ImproperTorsions",), 4: ("vdW", "Electrostatics")}

WATER = "[O:1]([H:2])[H:3]"


def evaluate(system, coords: numpy.ndarray, groups: int = -1) -> tuple[float, numpy.ndarray]:
    """Energy [kcal/mol] and forces [kcal/mol/Angstrom] by OpenMM in double precision."""
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(coords * NANOMETER_PER_ANGSTROM)
    state = context.getState(getEnergy=True, getForces=True, groups=groups)
    energy = state.getPotentialEnergy().value_in_unit(openmm.unit.kilojoule_per_mole)
    forces = state.getForces(asNumpy=True).value_in_unit(openmm.unit.kilojoule_per_mole / openmm.unit.nanometer)
    return energy / KILOJOULE_PER_KILOCALORIE, forces / KILOJOULE_PER_KILOCALORIE * NANOMETER_PER_ANGSTROM


def test_energies_and_forces_agree_with_openmm_by_type(parity_molecules, parity_energies):
    force_field = parity_molecules.force_field
    for record in parity_energies:
        topology = parity_molecules.topologies[record["smiles"]]
        coords = numpy.array(record["coords"][:1])
        energies = compute_energy_by_type(topology, force_field, torch.from_numpy(coords))
        forces = compute_forces_by_type(topology, force_field, torch.from_numpy(coords))
        system = build_openmm_system(topology, force_field)
        for group, types in GROUPS.items():
            energy, force = evaluate(system, coords[0], groups=1 << group)
            expected = sum(energies[type_].item() for type_ in types)
            assert energy == pytest.approx(expected, rel=RELATIVE, abs=ABSOLUTE), (record["smiles"], types)
            expected = sum(forces[type_][0].numpy() for type_ in types)
            scale = numpy.abs(expected).max()
            assert numpy.abs(force - expected).max() <= RELATIVE * scale + ABSOLUTE, (record["smiles"], types)
        assert set(FORCE_GROUPS.values()) == set(GROUPS)


def test_masses_and_absence_of_constraints(parity_molecules):
    system = build_openmm_system(parity_molecules.topologies[WATER], parity_molecules.force_field)
    masses = [system.getParticleMass(i).value_in_unit(openmm.unit.dalton) for i in range(3)]
    assert masses == pytest.approx([15.999, 1.008, 1.008], abs=1e-3)  # standard atomic weights
    assert system.getNumConstraints() == 0
    assert not system.usesPeriodicBoundaryConditions()


def test_one_to_four_pairs_are_scaled_and_closer_ones_are_left_out(parity_molecules, parity_energies):
    topology = parity_molecules.topologies[parity_energies[22]["smiles"]]
    system = build_openmm_system(topology, parity_molecules.force_field)
    force = next(force for force in system.getForces() if force.getName() == "Nonbonded")
    distances = topology.parameters["vdW"].exclusion_scale_idxs[:, 0] + 1
    assert force.getNumExceptions() == len(distances)
    for i, bonds in enumerate(distances.tolist()):
        first, second, charge, _, epsilon = force.getExceptionParameters(i)
        charges = [force.getParticleParameters(j)[0]._value for j in (first, second)]
        assert charge._value == pytest.approx((0.0, 0.0, 0.8333333333)[bonds - 1] * charges[0] * charges[1])
        assert (epsilon._value == 0.0) == (bonds < 3)


def test_a_force_field_without_nonbonded_terms(parity_molecules, parity_energies):
    topology = parity_molecules.topologies[parity_energies[0]["smiles"]]
    potentials = parity_molecules.force_field.potentials_by_type
    bonds = type(parity_molecules.force_field)((potentials["Bonds"],))
    assert [force.getName() for force in build_openmm_system(topology, bonds).getForces()] == ["Bonds"]


def test_the_xml_gives_the_same_energy(parity_molecules, parity_energies, tmp_path):
    record = parity_energies[47]
    topology = parity_molecules.topologies[record["smiles"]]
    write_openmm_xml(tmp_path / "molecule.xml", topology, parity_molecules.force_field)
    system = openmm.XmlSerializer.deserialize((tmp_path / "molecule.xml").read_text())
    for coords, expected in zip(record["coords"], record["energy"], strict=True):
        assert evaluate(system, numpy.array(coords))[0] == pytest.approx(expected, rel=RELATIVE)
    assert [path.name for path in tmp_path.iterdir()] == ["molecule.xml"]


CONSTRAINTS = parse_force_field(
    """<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL"><Constraints version="0.3">
    <Constraint smirks="[#1:1]-[*:2]"/>
    <Constraint smirks="[#1:1]-[#8X2H2+0:2]-[#1]" distance="0.09572 * nanometer"/>
    <Constraint smirks="[#1:1]-[#8X2H2+0]-[#1:2]" distance="1.5139 * angstrom"/></Constraints></SMIRNOFF>""",
    "constraints.offxml",
)


def find(molecules, smiles, file=CONSTRAINTS):
    return find_constraints(from_mapped_smiles(smiles), molecules.topologies[smiles], molecules.force_field, file)


def test_constraints_have_their_own_distance_or_the_length_of_the_bond(parity_molecules):
    assert find(parity_molecules, WATER) == [(0, 1, 0.9572), (0, 2, 0.9572), (1, 2, 1.5139)]
    ethanol = find_molecule(parity_molecules, "CCO")
    topology, bonds = parity_molecules.topologies[ethanol], parity_molecules.force_field.potentials_by_type["Bonds"]
    constraints = find(parity_molecules, ethanol)
    assert len(constraints) == 6  # every bond to hydrogen
    rows = {
        tuple(atoms): row
        for atoms, row in zip(
            topology.parameters["Bonds"].particle_idxs.tolist(),
            topology.parameters["Bonds"].parameter_idxs.tolist(),
            strict=True,
        )
    }
    for i, j, distance in constraints:
        assert distance == bonds.column("length")[rows[i, j]].item()
    system = build_openmm_system(topology, parity_molecules.force_field, constraints)
    assert [tuple(system.getConstraintParameters(k))[2]._value for k in range(6)] == pytest.approx(
        [distance * NANOMETER_PER_ANGSTROM for _, _, distance in constraints]
    )
    assert system.getForce(0).getNumBonds() == 8  # constrained bonds keep their terms


def test_constraints_that_have_no_distance_are_refused(parity_molecules):
    file = parse_force_field(CONSTRAINTS.text.replace(' distance="1.5139 * angstrom"', ""), "mine.offxml")
    with pytest.raises(ValueError, match=r"mine.offxml: Constraints, SMIRKS .*: no distance"):
        find(parity_molecules, WATER, file)


def test_a_force_field_without_constraints(parity_molecules):
    file = parse_force_field('<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL"/>', "none.offxml")
    assert find(parity_molecules, WATER, file) == []


@pytest.mark.parametrize("smiles", ["CCO", "CC(=O)NC", "c1ccncc1", "CS(=O)(=O)C"])
def test_the_unconstrained_file_of_a_fit_gives_the_fitted_energies(smiles, tmp_path):
    """The file that a user takes away, read anew, in OpenMM: the energies of the fit, to 1e-4 kcal/mol."""
    mapped = to_mapped_smiles(from_smiles(smiles))
    starter = read_force_field(ROOT / "example" / "starter.offxml")
    start = parameterize(starter, [mapped], n_workers=1)
    fitted = change_parameters(start.force_field, ("Bonds", "Angles", "ProperTorsions"), seed=1)
    write_offxml(starter.text, fitted, tmp_path / "force-field.offxml")
    save_unconstrained(tmp_path / "force-field")
    coords = embed_conformers(from_mapped_smiles(mapped), 3, seed=1)
    expected = compute_energy(start.topologies[mapped], fitted, torch.from_numpy(coords)).tolist()
    n_constraints = {}
    for name in ("force-field", "force-field-unconstrained"):
        file = read_force_field(tmp_path / f"{name}.offxml")
        again = parameterize(file, [mapped], n_workers=1)
        topology = again.topologies[mapped]
        constraints = find_constraints(from_mapped_smiles(mapped), topology, again.force_field, file)
        n_constraints[name] = len(constraints)
        system = build_openmm_system(topology, again.force_field, constraints)
    assert n_constraints["force-field"] > 0
    assert n_constraints["force-field-unconstrained"] == 0
    found = [evaluate(system, conformer)[0] for conformer in coords]
    assert numpy.abs(numpy.array(found) - expected).max() < 1e-6  # the file has all digits


def test_molecules_are_found_by_any_smiles(parity_molecules):
    for smiles in ("CCO", "OCC", "[CH3][CH2][OH]"):
        assert len(parity_molecules.topologies[find_molecule(parity_molecules, smiles)].atomic_nums) == 9
    assert find_molecule(parity_molecules, WATER) == WATER
    with pytest.raises(ValueError, match="not among the 99 molecules"):
        find_molecule(parity_molecules, "CCCCCCCCCCCC[Se]")
    with pytest.raises(ValueError, match="cannot read"):
        find_molecule(parity_molecules, "CC(")


def test_command_line(parity_molecules, tmp_path):
    molecules = parity_molecules.__class__(
        parity_molecules.force_field,
        parity_molecules.topologies,
        {},
        {"force_field": "constraints.offxml", "offxml": CONSTRAINTS.text},
    )
    save_parameters(tmp_path / "some.pt", molecules)
    command = [sys.executable, "-m", "common.interop.openmm_export", tmp_path / "some.pt", "O", tmp_path / "water.xml"]
    done = subprocess.run([*command, "--constraints"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"3 atoms, 3 constraints, in the order of {WATER}" in done.stdout
    system = openmm.XmlSerializer.deserialize((tmp_path / "water.xml").read_text())
    assert system.getNumParticles() == system.getNumConstraints() == 3


def test_command_line_on_a_fitted_force_field_whose_molecules_are_elsewhere(parity_molecules, tmp_path):
    save_parameters(tmp_path / "parameters.pt", parity_molecules)
    start = load_parameters(tmp_path / "parameters.pt")
    fitted = change_parameters(start.force_field, ("Bonds",), seed=0)
    save_fitted_force_field(tmp_path / "force-field.pt", fitted, start, ["fitted"])
    (tmp_path / "parameters.pt").rename(tmp_path / "moved.pt")
    command = [sys.executable, "-m", "common.interop.openmm_export", tmp_path / "force-field.pt", "CCO"]
    command += [tmp_path / "ethanol.xml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "parameters.pt, which is not there any more; run 004-train.py, or name the parameters file" in done.stderr
    command += ["--parameters", tmp_path / "moved.pt"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    system = openmm.XmlSerializer.deserialize((tmp_path / "ethanol.xml").read_text())
    bonds = fitted.potentials_by_type["Bonds"]
    row = start.topologies[find_molecule(start, "CCO")].parameters["Bonds"].parameter_idxs[0]
    length = system.getForce(0).getBondParameters(0)[2]._value
    assert length == pytest.approx(bonds.column("length")[row].item() * NANOMETER_PER_ANGSTROM)


def test_without_openmm_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openmm", None)
    with pytest.raises(RuntimeError, match="pip install openmm"):
        load_openmm()
