"""Progress: the best weights, early stopping, the log."""

import torch

from common.coarse_graining.progress import COLUMNS, Progress


def test_the_best_weights_are_kept():
    progress = Progress(0)
    for epoch, loss in enumerate((3.0, 1.0, 2.0), 1):
        progress.epoch = epoch
        weights = {"w": torch.tensor([float(epoch)])}
        progress.compare(loss, weights)
        weights["w"].zero_()  # what is kept does not change with the model
    assert (progress.best_loss, progress.best_epoch, progress.best["w"].item()) == (1.0, 2, 2.0)


def test_a_loss_that_falls_goes_on_and_one_that_rises_does_not():
    falling, rising = Progress(0), Progress(0)
    looks = [[], []]
    for i in range(100):
        falling.add(1.0 / (i + 1))
        rising.add(float(i))
        if i % 10 == 9:
            looks[0].append(falling.look(1))
            looks[1].append(rising.look(1))
    assert not any(looks[0])
    assert looks[1] == [False] + [True] * 9


def test_progress_goes_through_a_checkpoint():
    progress = Progress(3, loss=0.5)
    progress.add(0.5)
    progress.compare(0.4, {"w": torch.ones(2)})
    again = Progress(3, **progress.to_plain())
    assert again.to_plain().keys() == progress.to_plain().keys()
    assert again.average == progress.average


def test_the_log_has_a_row_for_each_epoch(tmp_path):
    progress = Progress(2)
    progress.rows = [{"epoch": 1, "loss/train": 0.5}, {"epoch": 2, "loss/train": 0.4, "loss/validation": 0.6}]
    progress.write_log(tmp_path / "log.csv")
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0].split(",") == list(COLUMNS)
    assert len(lines) == 3
