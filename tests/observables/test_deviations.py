"""What counts as failure, softly and not."""

import math

import pytest
import torch

from common.observables.deviations import SMALLEST_SHARE, BondDeviation, Contact, InstabilityFraction
from common.observables.system import measure_distances
from tests.neural.systems import COORDS
from tests.observables.systems import make_ethanol, make_water_box


@pytest.fixture
def bonds():
    system = make_ethanol()
    means = measure_distances(system, COORDS[None], system.bonds)[0]
    return BondDeviation(system, means, tolerance=0.25, far=1.0)


def stretch(amount):
    """Ethanol with its hydroxyl hydrogen moved away from the oxygen."""
    coords = COORDS.clone()
    along = coords[8] - coords[2]
    coords[8] += amount * along / along.norm()
    return coords


def test_the_largest_deviation_of_any_bond_counts(bonds):
    coords = torch.stack([stretch(0.0), stretch(0.2), stretch(-0.3), stretch(2.0)])
    deviations = bonds.measure(coords)
    torch.testing.assert_close(deviations, torch.tensor([0.0, 0.2, 0.3, 2.0], dtype=torch.float64), atol=1e-10, rtol=0)
    assert bonds.has_failed(deviations).tolist() == [False, False, True, True]
    assert bonds.is_lost(deviations).tolist() == [False, False, False, True]


def test_a_frame_that_is_not_finite_has_failed_and_is_lost(bonds):
    lost = COORDS.clone()
    lost[4] = math.nan
    deviations = bonds.measure(torch.stack([COORDS, lost]))
    assert bonds.has_failed(deviations).tolist() == [False, True]
    assert bonds.is_lost(deviations).tolist() == [False, True]


def test_the_soft_deviation_rises_below_the_tolerance(bonds):
    soft = bonds.soften(torch.tensor([0.1, 0.2, 0.25, 0.5], dtype=torch.float64))
    torch.testing.assert_close(
        soft, torch.sigmoid(torch.tensor([-8.0, 0.0, 4.0, 24.0], dtype=torch.float64)), atol=1e-12, rtol=0
    )


def test_molecules_deviate_for_themselves():
    system, coords = make_water_box(4, 9.0, n_frames=2)
    deviation = BondDeviation(system, torch.full((8,), 0.96, dtype=torch.float64), 0.25)
    coords[1, 7] += 0.5 * (coords[1, 7] - coords[1, 6]) / 0.96
    by_molecule = deviation.measure_by_molecule(coords)
    assert by_molecule.shape == (2, 4)
    torch.testing.assert_close(by_molecule.amax(1), deviation.measure(coords), atol=1e-12, rtol=0)
    assert by_molecule[1].argmax() == 2
    assert by_molecule[1, [0, 1, 3]].max() < 0.01


def test_contacts_are_between_molecules_and_through_the_box():
    system, _ = make_water_box(2, 9.0)
    one = torch.tensor([[0.2, 0.0, 0.0], [0.2, 0.96, 0.0], [0.2, 0.0, 0.96]], dtype=torch.float64)
    coords = torch.cat((one, one + torch.tensor([-1.0, 0.0, 0.0]) + 9.0))[None]
    contact = Contact(system, smallest=1.2)
    deviations = contact.measure(coords)
    assert deviations.item() == pytest.approx(-1.0)
    assert contact.has_failed(deviations).item()
    assert not contact.is_lost(deviations).item()
    assert contact.soften(deviations).item() > 0.99
    torch.testing.assert_close(contact.measure_by_molecule(coords), torch.full((1, 2), -1.0, dtype=torch.float64))


def test_a_single_molecule_has_no_contacts():
    with pytest.raises(ValueError, match="single molecule"):
        Contact(make_ethanol())


def test_the_loss_of_the_share_is_logarithmic(bonds):
    observable = InstabilityFraction(bonds)
    loss = [
        observable.compute_loss(torch.tensor([share]), torch.zeros(1)).item() for share in (0.0, SMALLEST_SHARE, 0.1)
    ]
    assert loss == pytest.approx([0.0, math.log(2.0), math.log(101.0)])
    values = observable.compute(torch.stack([COORDS, stretch(0.5)]))
    assert values[0].item() < 1e-3
    assert values[1].item() > 0.999
    torch.testing.assert_close(observable.compute_by_molecule(COORDS[None])[:, 0], observable.compute(COORDS[None]))
