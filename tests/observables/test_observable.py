"""What every observable shares."""

import pytest
import torch

from common.observables.distributions import AngleDistribution, BondLengthDistribution, RadialDistribution
from common.observables.moments import MeanAngles, MeanBonds, Moments
from common.observables.observable import compute_mean_absolute_error
from tests.neural.systems import displace
from tests.observables.systems import make_ethanol


@pytest.fixture(params=[RadialDistribution, AngleDistribution, BondLengthDistribution, Moments, MeanBonds, MeanAngles])
def observable(request):
    arguments = (displace(50),) if request.param is Moments else ()
    return request.param(make_ethanol(), *arguments)


def test_there_is_a_label_for_every_value(observable):
    assert observable.compute(displace(3)).shape == (3, observable.n_values)
    assert len(set(observable.labels)) == observable.n_values


def test_the_loss_is_zero_at_the_target_and_has_a_slope_elsewhere(observable):
    mean = observable.compute(displace(20)).mean(0).requires_grad_()
    assert observable.compute_loss(mean, mean.detach()).item() == 0.0
    loss = observable.compute_loss(mean, mean.detach() + 0.1)
    (slope,) = torch.autograd.grad(loss, mean)
    assert (slope < 0.0).all()


def test_whole_molecules_do_not_tell_single_ones(observable):
    with pytest.raises(ValueError, match="no property of single molecules"):
        observable.compute_by_molecule(displace(1))


def test_the_mean_absolute_error():
    assert compute_mean_absolute_error(torch.tensor([1.0, -1.0]), torch.zeros(2)) == 1.0
