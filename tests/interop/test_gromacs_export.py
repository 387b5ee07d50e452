"""GROMACS files, read back by OpenMM, give the energies of this project."""

import numpy
import pytest

from common.interop.gromacs_export import format_gromacs_topology, write_gromacs
from common.interop.openmm_export import find_molecule
from tests.interop.engines import FILES_LEFT_OPEN, WATER, evaluate, read_gromacs

pytest.importorskip("openmm", reason="OpenMM is among what the tests need (requirements-dev.txt)")

pytestmark = FILES_LEFT_OPEN

TOLERANCE = 1e-4
"""[kcal/mol] The promise; found 2e-9."""


def test_energies_of_all_molecules_are_those_of_the_fit(parity_molecules, parity_energies, tmp_path):
    for record in parity_energies:
        if record["smiles"] == WATER:
            continue
        topology = parity_molecules.topologies[record["smiles"]]
        coords = numpy.array(record["coords"])
        write_gromacs(tmp_path / "molecule.top", topology, parity_molecules.force_field, coords[0])
        system, _ = read_gromacs(tmp_path / "molecule.top")
        found = [evaluate(system, conformer) for conformer in coords]
        assert numpy.abs(numpy.array(found) - record["energy"]).max() < TOLERANCE, record["smiles"]


def test_coordinates_are_those_given_moved_into_the_box(parity_molecules, parity_energies, tmp_path):
    record = parity_energies[3]
    topology, coords = parity_molecules.topologies[record["smiles"]], numpy.array(record["coords"][0])
    write_gromacs(tmp_path / "molecule.top", topology, parity_molecules.force_field, coords)
    _, found = read_gromacs(tmp_path / "molecule.top")
    assert numpy.ptp(found - coords, axis=0).max() < 2e-2  # three decimals of a nanometre, as everybody reads


def test_what_gromacs_cannot_express_is_refused(parity_molecules):
    smiles = find_molecule(parity_molecules, "CCO")
    potentials = []
    for potential in parity_molecules.force_field.potentials:
        if potential.type == "vdW":
            attributes = potential.attributes.clone()
            attributes[potential.attribute_cols.index("scale_13")] = 0.25
            potential = type(potential)(**{**potential.__dict__, "attributes": attributes})
        potentials.append(potential)
    force_field = type(parity_molecules.force_field)(tuple(potentials))
    with pytest.raises(ValueError, match="vdW: GROMACS leaves out atoms up to two bonds apart"):
        format_gromacs_topology(parity_molecules.topologies[smiles], force_field)


def test_rigid_water_is_refused(parity_molecules):
    with pytest.raises(ValueError, match="2 bonds have no term in this force field, as in rigid water"):
        format_gromacs_topology(parity_molecules.topologies[WATER], parity_molecules.force_field)
