"""Minima are minima, the held dihedral stays, and OpenMM finds the same."""

import json
import math

import numpy
import pytest
import torch

from common.forcefields.tensors import TensorForceField
from common.geometry.internal_coordinates import compute_dihedrals, compute_dihedrals_with_gradients
from common.relaxation.deviations import compute_rmsds
from common.relaxation.minimization import MAX_FORCE, HeldDihedral, minimize
from common.relaxation.surface import Surface
from tests.helpers import rotate_randomly
from tests.relaxation.openmm_reference import (
    MOLECULES,
    REFERENCE,
    minimize_by_openmm,
    parameterize_molecules,
    turn,
)

SAME_ENERGY = 0.01
"""[kcal/mol] What the project promises against OpenMM. Found: 2e-4, the give of OpenMM's spring."""

SAME_PLACE = 1e-3
"""[Angstrom] likewise, of a minimum. Found: 5e-5."""

ROUNDING = 1e-6
"""[kcal/mol] between minima at which forces are below 1e-4 kcal/mol/Angstrom."""


@pytest.fixture(scope="module")
def molecules():
    return parameterize_molecules()


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads(REFERENCE.read_text())


@pytest.fixture(scope="module")
def surfaces(molecules) -> dict[str, Surface]:
    return {
        name: Surface(molecules.topologies[smiles], molecules.force_field) for name, (smiles, _) in MOLECULES.items()
    }


def start_scan(reference: dict, name: str) -> tuple[numpy.ndarray, HeldDihedral]:
    angles = numpy.array(reference[name]["angles"])
    coords = turn(name, numpy.array(reference[name]["start"]), angles)
    return coords, HeldDihedral(MOLECULES[name][1], angles)


@pytest.mark.parametrize("name", MOLECULES)
def test_a_relaxed_scan_is_that_of_openmm(surfaces, reference, name):
    found = minimize(surfaces[name], *start_scan(reference, name))
    assert found.converged.all()
    assert found.energy == pytest.approx(reference[name]["energies"], abs=SAME_ENERGY)
    assert numpy.ptp(found.energy) > 1.0  # there is a barrier


@pytest.mark.parametrize("name", MOLECULES)
def test_a_minimum_is_that_of_openmm(surfaces, reference, name):
    start = numpy.array(reference[name]["start"])[None]
    end = numpy.array(reference[name]["minimum"]["coords"])[None]
    found = minimize(surfaces[name], start)
    assert found.energy[0] == pytest.approx(reference[name]["minimum"]["energy"], abs=SAME_ENERGY)
    assert compute_rmsds(found.coords, end)[0] < SAME_PLACE
    assert compute_rmsds(found.coords, start)[0] == pytest.approx(compute_rmsds(end, start)[0], abs=SAME_PLACE)


@pytest.mark.parametrize("name", MOLECULES)
def test_openmm_itself_where_it_is_installed(molecules, surfaces, reference, name):
    pytest.importorskip("openmm", reason="OpenMM is an optional dependency (requirements-dev.txt)")
    coords, held = start_scan(reference, name)
    found = minimize(surfaces[name], coords, held)
    for place in (0, 5):
        energy, end = minimize_by_openmm(molecules, name, coords[place], held.angles[place])
        assert found.energy[place] == pytest.approx(energy, abs=SAME_ENERGY)
        assert compute_rmsds(found.coords[[place]], end[None])[0] < SAME_PLACE
    energy, end = minimize_by_openmm(molecules, name, coords[3], None)
    free = minimize(surfaces[name], coords[[3]])
    assert free.energy[0] == pytest.approx(energy, abs=SAME_ENERGY)
    assert compute_rmsds(free.coords, end[None])[0] < SAME_PLACE


def test_what_is_left_of_the_force_lies_along_the_held_dihedral(surfaces, reference):
    coords, held = start_scan(reference, "butane")
    found = minimize(surfaces["butane"], coords, held)
    points = torch.from_numpy(found.coords).permute(2, 0, 1)[..., list(held.atoms)].unbind(-1)
    off = compute_dihedrals(*points).numpy() - held.angles
    assert numpy.abs((off + math.pi) % (2.0 * math.pi) - math.pi).max() < 1e-10
    gradient = surfaces["butane"].evaluate(torch.from_numpy(found.coords).reshape(len(coords), -1))[1]
    normal = torch.zeros(len(coords), coords.shape[1], 3, dtype=torch.float64)
    for atom, own in zip(held.atoms, compute_dihedrals_with_gradients(*points)[1], strict=True):
        normal[:, atom] = own.T
    normal = torch.nn.functional.normalize(normal.reshape(len(coords), -1))
    along = (gradient * normal).sum(dim=-1, keepdim=True)
    assert float((gradient - along * normal).abs().max()) < MAX_FORCE
    assert float(along.abs().max()) > 1.0  # the dihedral would turn, were it not held
    free = minimize(surfaces["butane"], coords)
    assert (free.energy <= found.energy + ROUNDING).all()


def test_nothing_depends_on_the_others_or_on_the_orientation(surfaces, reference):
    coords, held = start_scan(reference, "biphenyl")
    together = minimize(surfaces["biphenyl"], coords, held)
    one = minimize(surfaces["biphenyl"], coords[[4]], HeldDihedral(held.atoms, held.angles[[4]]))
    assert one.energy[0] == pytest.approx(together.energy[4], abs=ROUNDING)
    turned = rotate_randomly(torch.from_numpy(coords), seed=3).numpy()
    assert minimize(surfaces["biphenyl"], turned, held).energy == pytest.approx(together.energy, abs=ROUNDING)


def test_a_minimum_stays_where_it_is_and_takes_no_step(surfaces, reference):
    found = minimize(surfaces["butane"], numpy.array(reference["butane"]["start"])[None])
    again = minimize(surfaces["butane"], found.coords)
    assert again.n_steps[0] == 1
    assert again.coords == pytest.approx(found.coords)
    assert found.max_force[0] <= MAX_FORCE


def test_what_does_not_converge_is_told_with_its_reason(surfaces, reference, molecules):
    coords, held = start_scan(reference, "butane")
    stopped = minimize(surfaces["butane"], coords, held, max_steps=2)
    assert set(stopped.failures) == {"not at a minimum after 2 steps"}
    assert not stopped.converged.any()
    assert numpy.isfinite(stopped.energy).all()
    with pytest.raises(ValueError, match="expected"):
        minimize(surfaces["butane"], coords[:, :-1])
    # opposite charges and no repulsion: nothing stops the atoms
    smiles = MOLECULES["butane"][0]
    potentials = dict(molecules.force_field.potentials_by_type)
    charges = potentials["Electrostatics"].parameters.clone()
    places = molecules.topologies[smiles].parameters["Electrostatics"].parameter_idxs
    charges[places[4]], charges[places[13]] = 3.0, -3.0
    bare = TensorForceField(
        (type(potentials["Electrostatics"])(**{**vars(potentials["Electrostatics"]), "parameters": charges}),)
    )
    fallen = minimize(Surface(molecules.topologies[smiles], bare), coords[:1], max_steps=200)
    assert not fallen.converged.any()
    assert fallen.failures[0]
