"""Learning curves: what is logged comes back, also of a run that was interrupted and went on."""

import pytest

from common.runs.curves import read_curves
from common.runs.tensorboard import Log


def write_log(folder, epochs, scale: float = 1.0, start_epoch: int = 0) -> None:
    log = Log(folder, start_epoch)
    for epoch in epochs:
        log.add_scalars(epoch, {"loss/train": scale * epoch, "loss/test": 2.0 * scale * epoch})
    log.close()


def test_what_is_logged_comes_back(tmp_path):
    write_log(tmp_path, range(5))
    curves = read_curves(tmp_path)
    assert set(curves) == {"loss/train", "loss/test"}
    assert curves["loss/test"].epochs.tolist() == [0, 1, 2, 3, 4]
    assert curves["loss/test"].values.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_epochs_after_the_checkpoint_are_those_of_the_run_that_went_on(tmp_path):
    """Epochs 3 and 4 were logged, then lost: the checkpoint was of epoch 2."""
    write_log(tmp_path, range(5))
    write_log(tmp_path, range(3, 7), scale=10.0, start_epoch=2)
    curve = read_curves(tmp_path)["loss/train"]
    assert curve.epochs.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert curve.values.tolist() == pytest.approx([0.0, 1.0, 2.0, 30.0, 40.0, 50.0, 60.0])


def test_a_folder_without_events_has_no_curves(tmp_path):
    assert read_curves(tmp_path) == {}


def test_long_curves_are_not_thinned(tmp_path):
    """By itself, TensorBoard keeps ten thousand points of a curve."""
    write_log(tmp_path, range(12_000))
    assert len(read_curves(tmp_path)["loss/train"].epochs) == 12_000
