"""Functions of the distance of two sites: slopes are derivatives, values are those of formulas and of LAMMPS."""

import pytest
import torch

from common.body_trajectories.lammps_files import read_lammps_folder
from common.potentials.site_functions import SiteTerm, build_site_function
from common.units import COULOMB_CONSTANT
from tests.helpers import DATA

EPSILON, SIGMA = {"A": 0.3, "B": 0.5}, {"A": 1.0, "B": 1.4}
TERMS = {
    "lennard-jones": SiteTerm("lennard-jones", {"epsilon": EPSILON, "sigma": SIGMA}),
    "lj/smooth": SiteTerm("lj/smooth", {"epsilon": EPSILON, "sigma": SIGMA}, {"inner": 1.5, "cutoff": 2.2}),
    "wca": SiteTerm("wca", {"epsilon": EPSILON, "sigma": SIGMA}),
    "yukawa": SiteTerm("yukawa", {"strength": {"A": 1.0, "B": -2.0}}, {"screening": 0.7}),
    "coulomb": SiteTerm("coulomb", {"charge": {"A": 0.3, "B": -0.4}}),
}
SLOPE_TOLERANCE = 1e-12


def evaluate(name: str, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Between a site A and a site B."""
    function = build_site_function(TERMS[name], ["A"], ["B"], torch.float64)
    energy, slope = function((r**2)[:, None, None])
    return energy[:, 0, 0], slope[:, 0, 0]


@pytest.mark.parametrize("name", TERMS)
def test_the_slope_is_the_derivative_over_the_distance(name):
    r = torch.linspace(0.9, 3.0, 211, dtype=torch.float64, requires_grad=True)
    energy, slope = evaluate(name, r)
    [gradient] = torch.autograd.grad(energy.sum(), r)
    torch.testing.assert_close(slope, gradient / r, atol=SLOPE_TOLERANCE, rtol=SLOPE_TOLERANCE)


def test_lennard_jones_is_least_where_it_should_be():
    """At 2^(1/6) of the mean of σ, and there minus the geometric mean of ε."""
    minimum = torch.tensor([2.0 ** (1.0 / 6.0) * 1.2], dtype=torch.float64)
    energy, slope = evaluate("lennard-jones", minimum)
    assert energy.item() == pytest.approx(-((0.3 * 0.5) ** 0.5), abs=1e-14)
    assert slope.item() == pytest.approx(0.0, abs=1e-13)


def test_coulomb_is_in_kcal_per_mol_and_angstrom():
    energy, _ = evaluate("coulomb", torch.tensor([2.0], dtype=torch.float64))
    assert energy.item() == pytest.approx(-0.12 * COULOMB_CONSTANT / 2.0, rel=1e-14)


def test_wca_is_lennard_jones_that_ends_at_its_minimum():
    r = torch.tensor([1.0, 1.3, 1.35, 2.0], dtype=torch.float64)
    energy, slope = evaluate("wca", r)
    expected = evaluate("lennard-jones", r)[0] + 0.15**0.5
    assert torch.equal(energy[:2], expected[:2])
    assert (energy[2:] == 0.0).all()
    assert (slope[2:] == 0.0).all()


@pytest.mark.parametrize("r", [1.5, 2.2])
def test_the_smooth_form_is_so_at_both_ends(r):
    """Energy, force and the force's derivative from the left and from the right."""
    at = torch.tensor([r - 1e-9, r + 1e-9], dtype=torch.float64, requires_grad=True)
    energy, slope = evaluate("lj/smooth", at)
    [curvature] = torch.autograd.grad((slope * at).sum(), at)
    for values in (energy, slope, curvature):
        assert abs(float((values[0] - values[1]).detach())) < 1e-5


def test_the_smooth_form_is_lammps_own():
    """Potential energies that LAMMPS wrote, 15 digits."""
    splits, _ = read_lammps_folder(DATA / "hexagons" / "fifteen-digits")
    for own in splits.values():
        energies = own.system.build_site_potential().compute_energy(own.motion.positions, own.motion.quaternions)
        torch.testing.assert_close(energies, own.energies, atol=1e-11, rtol=0)
    assert max(float(own.energies.max()) for own in splits.values()) > 0.3  # the hexagons do touch


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (SiteTerm("buckingham", {}), "no function 'buckingham'.*there are lennard-jones"),
        (SiteTerm("wca", {"epsilon": EPSILON}), "needs the parameters epsilon, sigma"),
        (SiteTerm("lj/smooth", {"epsilon": EPSILON, "sigma": SIGMA}), "needs the constants inner, cutoff"),
        (SiteTerm("coulomb", {"charge": {"A": 1.0}}), "no charge for the sites B"),
    ],
)
def test_what_is_missing_is_named(term, message):
    with pytest.raises(ValueError, match=message):
        build_site_function(term, ["A"], ["B"], torch.float64)
