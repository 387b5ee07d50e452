"""Windows: all of them, none too long, and the weights of those that feel little."""

import pytest
import torch

from common.coarse_graining.windows import list_windows, measure_separations, weigh_by_signal
from tests.coarse_graining.samples import make_trajectories


def test_all_windows_are_there_once():
    windows = list_windows(make_trajectories(), 5, 1, "batch_length")
    assert len(windows.starts) == 16 * (21 - 5)
    assert len(set(map(tuple, windows.starts.tolist()))) == len(windows.starts)
    assert windows.starts[:, 1].max() == 15
    assert list_windows(make_trajectories(), 5, 5, "x").starts[:, 1].unique().tolist() == [0, 5, 10, 15]


def test_a_window_is_the_frames_after_its_first():
    data = make_trajectories()
    windows = list_windows(data, 3, 1, "x")
    [chosen] = (windows.starts == torch.tensor([4, 7])).all(1).nonzero()[0]
    first, after = windows.take(chosen[None], torch.float64, "cpu")
    assert torch.equal(first.positions[0], data.motion.positions[4, 7])
    assert torch.equal(after.velocities[0], data.motion.velocities[4, 8:11])


def test_a_window_longer_than_the_trajectories_is_refused():
    assert len(list_windows(make_trajectories(), 20, 1, "x").starts) == 16
    with pytest.raises(ValueError, match=r"batch_length = 21: .* trajectories of 21 frames; there are 1 to 20"):
        list_windows(make_trajectories(), 21, 1, "batch_length")


def test_separations_are_those_of_the_nearest_bodies():
    motion = make_trajectories().motion
    expected = (motion.positions[..., 1, :] - motion.positions[..., 0, :]).norm(dim=-1)
    torch.testing.assert_close(measure_separations(motion, None), expected)
    assert (measure_separations(motion, 1.5) <= 0.75 * 3.0**0.5).all()


def test_weights_make_up_for_weak_signals():
    separations = torch.linspace(1.0, 3.0, 2000, dtype=torch.float64)
    signals = separations**-6
    assert (weigh_by_signal(separations, separations, signals, 0.0) == 1.0).all()
    full = weigh_by_signal(separations, separations, signals, 1.0)
    assert full.mean() == pytest.approx(1.0)
    near, far = (full * signals)[:125].mean(), (full * signals)[1250:1375].mean()
    assert far / near > 0.3 > 10.0 * float(signals[1250:1375].mean() / signals[:125].mean())
    half = weigh_by_signal(separations, separations, signals, 0.5)
    assert 1.0 < half[-1] / half[0] < full[-1] / full[0]
