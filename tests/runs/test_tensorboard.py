"""The events that TensorBoard reads: numbers, figures, the place where a resumed run goes on, a full disk."""

import io

import matplotlib.figure
import pytest
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.runs.tensorboard import Log


def read(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_numbers_are_read_back(tmp_path):
    log = Log(tmp_path / "run")
    for epoch in (1, 2):
        log.add_scalars(epoch, {"loss/train": 0.5 / epoch, "loss/test": 0.25})
    log.close()
    events = read(tmp_path / "run")
    assert [(one.step, one.value) for one in events.Scalars("loss/train")] == [(1, 0.5), (2, 0.25)]
    assert [one.value for one in events.Scalars("loss/test")] == [0.25, 0.25]


def test_they_are_there_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("common.runs.tensorboard.FLUSH_SECONDS", -1.0)
    log = Log(tmp_path)
    log.add_scalars(1, {"loss": 0.5})
    assert read(tmp_path).Scalars("loss")[0].value == 0.5
    log.close()


def test_a_resumed_run_counts_from_where_it_goes_on(tmp_path):
    first = Log(tmp_path)
    for epoch in range(1, 6):
        first.add_scalars(epoch, {"loss": float(epoch)})
    first.close()
    again = Log(tmp_path, start_epoch=3)
    again.add_scalars(4, {"loss": 40.0})
    again.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert [(one.step, one.value) for one in read(tmp_path).Scalars("loss")] == [
        (1, 1.0),
        (2, 2.0),
        (3, 3.0),
        (4, 40.0),
    ]


def test_a_figure_is_a_picture(tmp_path):
    figure = matplotlib.figure.Figure(figsize=(2.0, 1.0), dpi=50)
    figure.subplots().plot([0.0, 1.0])
    log = Log(tmp_path)
    log.add_figure(7, "rollout/energy", figure)
    log.close()
    [image] = read(tmp_path).Images("rollout/energy")
    assert (image.step, image.width, image.height) == (7, 100, 50)
    assert imread(io.BytesIO(image.encoded_image_string)).shape[:2] == (50, 100)


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    log = Log(tmp_path)

    def refuse(data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log._records, "write", refuse)
    with pytest.raises(OSError, match=r"No space left on device.*events\.out\.tfevents"):
        log.add_scalars(1, {"loss": 0.5})
    assert log._file.closed
