"""Systems to simulate: the sites of a molecule carry its force field; the hexagons are those of the original."""

import math

import numpy
import pytest
import torch

from common.body_trajectories.recipes import (
    build_hexagons,
    build_rigid_molecules,
    compute_kt,
    minimise,
    read_molecule,
)
from common.files.artifacts import MissingArtifactError
from common.forcefields.energy import compute_forces
from common.forcefields.parameter_file import save_parameters
from common.potentials.body_pairs import Spring
from common.units import COULOMB_CONSTANT
from tests.bodies import draw_places
from tests.helpers import ROOT

STARTER = ROOT / "example" / "starter.offxml"


@pytest.fixture(scope="module")
def methanol():
    return read_molecule("CO", STARTER)


def test_a_molecule_is_rigid_at_a_minimum_of_its_force_field(methanol):
    smiles, molecules = methanol
    random = numpy.random.default_rng(0)
    start = build_rigid_molecules(smiles, molecules, 2, None).bodies[0].sites
    coords = minimise(molecules, smiles, start + 0.05 * random.normal(size=start.shape))
    forces = compute_forces(molecules.topologies[smiles], molecules.force_field, torch.from_numpy(coords)[None])
    assert forces.abs().max() < 1e-3
    distances = [numpy.linalg.norm(x[:, None] - x[None], axis=2) for x in (coords, start)]
    numpy.testing.assert_allclose(distances[0], distances[1], atol=1e-3)


def test_energies_between_molecules_are_those_of_the_non_bonded_terms(methanol):
    """The sums of Lennard-Jones and Coulomb terms, written out once more."""
    smiles, molecules = methanol
    spring = Spring(0.3, 5.0)
    system = build_rigid_molecules(smiles, molecules, 2, spring)
    assert system.spring == spring
    topology, potentials = molecules.topologies[smiles], molecules.force_field.potentials_by_type
    rows = topology.parameters["vdW"].parameter_idxs
    epsilon, sigma = (potentials["vdW"].column(name)[rows].numpy() for name in ("epsilon", "sigma"))
    charges = potentials["Electrostatics"].column("charge")[topology.parameters["Electrostatics"].parameter_idxs]
    charges = charges.numpy().copy()
    body = system.bodies[0]
    positions, quaternions = draw_places(4, 2, 5.0, 0)
    found = system.build_site_potential().compute_energy(positions, quaternions)
    for number in range(4):
        places = [_place(body.sites, positions[number, k], quaternions[number, k]) for k in (0, 1)]
        r = numpy.linalg.norm(places[0][:, None] - places[1][None], axis=2)
        pairs = 0.5 * (sigma[:, None] + sigma[None])
        depths = numpy.sqrt(epsilon[:, None] * epsilon[None])
        energy = (4.0 * depths * ((pairs / r) ** 12 - (pairs / r) ** 6)).sum()
        energy += (COULOMB_CONSTANT * charges[:, None] * charges[None] / r).sum()
        assert float(found[number]) == pytest.approx(energy, rel=1e-9)


def _place(sites: numpy.ndarray, position: torch.Tensor, q: torch.Tensor) -> numpy.ndarray:
    w, x, y, z = q.tolist()
    cross = numpy.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation = numpy.eye(3) + 2.0 * w * cross + 2.0 * cross @ cross
    return position.numpy() + sites @ rotation.T


def test_benzene_has_its_symmetry_and_no_charge():
    smiles, molecules = read_molecule("c1ccccc1", STARTER)
    system = build_rigid_molecules(smiles, molecules, 2, None)
    body = system.bodies[0]
    assert len(body.own_rotations) == 12  # the proper ones of D6h
    assert body.moments[0] == pytest.approx(body.moments[1], rel=1e-4)
    [charges] = [term.parameters["charge"] for term in system.site_terms if term.function == "coulomb"]
    assert len(charges) == 2
    assert sum(charges[label] for label in body.labels) == pytest.approx(0.0, abs=1e-6)


def test_a_molecule_is_found_under_any_of_its_smiles(methanol, tmp_path):
    smiles, molecules = methanol
    save_parameters(tmp_path / "run" / "force-field.pt", molecules)
    for path in (tmp_path / "run", tmp_path / "run" / "force-field.pt"):
        for spelling in ("OC", smiles, "[H:1][O:2][C:3]([H:4])([H:5])[H:6]"):
            assert read_molecule(spelling, path)[0] == smiles
    with pytest.raises(ValueError, match=r"has no molecule CCO; it has 1 others"):
        read_molecule("CCO", tmp_path / "run")
    with pytest.raises(ValueError, match="RDKit cannot read this SMILES"):
        read_molecule("C(", STARTER)
    with pytest.raises((FileNotFoundError, MissingArtifactError)):
        read_molecule("CO", tmp_path / "none.pt")


def test_hexagons_are_those_of_the_original():
    system = build_hexagons(2.5)
    body = system.bodies[0]
    assert (body.n_sites, body.mass) == (7, 7.0)
    numpy.testing.assert_allclose(body.moments, (3.0, 3.0, 6.0), rtol=1e-12)
    cutoff = 2.0 ** (1.0 / 6.0)
    assert system.site_terms[0].constants == {"inner": 0.95 * cutoff, "cutoff": cutoff}
    assert system.spring == Spring(25.0 / (0.95 * cutoff) ** 2, 2.0)


def test_temperatures():
    assert compute_kt(1.5, "reduced") == 1.5
    assert compute_kt(300.0, "molecular") == pytest.approx(0.596161, rel=1e-6)
    assert math.isclose(compute_kt(600.0, "molecular"), 2.0 * compute_kt(300.0, "molecular"))
