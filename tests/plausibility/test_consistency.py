"""Energies of near conformers against forces, on a potential that is known."""

import numpy
import pytest

from common.plausibility.consistency import check_consistency, compare_differences, superpose_pairs

N_ATOMS = 5
MINIMUM = numpy.random.default_rng(0).normal(0.0, 1.5, (N_ATOMS, 3))


def make(n_confs: int = 10, width: float = 0.05, seed: int = 1) -> tuple[numpy.ndarray, ...]:
    """Conformers near a minimum of pairwise springs, turned at random, with energies and forces."""
    random = numpy.random.default_rng(seed)
    walk = numpy.cumsum(random.normal(0.0, width, (n_confs, N_ATOMS, 3)), 0)
    coords = MINIMUM + walk
    rest = numpy.linalg.norm(MINIMUM[:, None] - MINIMUM, axis=-1) + numpy.eye(N_ATOMS)
    energies, forces = [], []
    for i, conformer in enumerate(coords):
        rotation, _ = numpy.linalg.qr(random.normal(size=(3, 3)))
        coords[i] = conformer @ rotation * numpy.sign(numpy.linalg.det(rotation)) + random.normal(size=3)
        vectors = coords[i][:, None] - coords[i]
        distances = numpy.linalg.norm(vectors, axis=-1) + numpy.eye(N_ATOMS)
        energies.append(25.0 * ((distances - rest) ** 2).sum())
        forces.append((-100.0 * (distances - rest) / distances)[:, :, None] * vectors)
    return coords, numpy.array(energies), numpy.stack(forces).sum(2)


def test_rotations_bring_conformers_onto_each_other():
    coords = MINIMUM[None] - MINIMUM.mean(0)
    rotation, _ = numpy.linalg.qr(numpy.random.default_rng(3).normal(size=(3, 3)))
    rotation *= numpy.sign(numpy.linalg.det(rotation))
    turned = coords @ rotation
    back = superpose_pairs(coords, turned)
    numpy.testing.assert_allclose(turned @ back.transpose(0, 2, 1), coords, atol=1e-12)
    numpy.testing.assert_allclose(numpy.linalg.det(back), 1.0)


def test_small_steps_obey_the_trapezoid_rule_however_the_conformers_lie():
    found, predicted, sizes = compare_differences(*make(width=0.005))
    numpy.testing.assert_allclose(found, predicted, atol=0.02 * numpy.abs(found).max())
    assert (sizes < 0.02).all()
    assert check_consistency(*make()) == []


@pytest.mark.parametrize(
    ("energy_factor", "force_factor", "kind", "words"),
    [
        (1.0, -1.0, "gradients", "change by -"),
        (4.184, 1.0, "energy unit", "the energies in kJ/mol, the forces in kcal/mol"),
        (1.0, 4.184, "energy unit", "the energies in kcal/mol, the forces in kJ/mol"),
        (1.0 / 627.5, 1.0, "energy unit", "the energies in hartree"),
    ],
)
def test_what_does_not_fit_is_named(energy_factor, force_factor, kind, words):
    coords, energy, forces = make()
    [doubt] = check_consistency(coords, energy * energy_factor, forces * force_factor)
    assert doubt.kind == kind
    assert words in doubt.text


def test_energies_of_other_conformers():
    coords, energy, forces = make(20, 0.02)
    [doubt] = check_consistency(coords, numpy.random.default_rng(1).permutation(energy), forces)
    assert doubt.kind == "unrelated"


def test_few_conformers_and_distant_ones_say_nothing():
    coords, energy, forces = make(3)
    assert check_consistency(coords, energy, -forces) == []
    assert check_consistency(*make(10, 1.0)) == []
