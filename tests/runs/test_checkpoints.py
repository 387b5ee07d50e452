"""Checkpoints: what the next epoch needs comes back to the last bit, and of other runs nothing does."""

import pytest
import torch

from common.runs.checkpoints import LAST, Checkpoint, load_checkpoint, save_checkpoint

STATE = {
    "values": torch.tensor([1.0 / 3.0, -0.0], dtype=torch.float64),
    "optimizer": {"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"lr": 0.01, "betas": (0.9, 0.999)}]},
}


class Surprise:
    """What would run code if it were unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a class was unpickled",))


def test_the_last_checkpoint_comes_back(tmp_path):
    for epoch in (3, 7):
        save_checkpoint(tmp_path, Checkpoint(epoch, STATE, "0123"))
    found = load_checkpoint(tmp_path, "0123")
    assert found.epoch == 7
    assert torch.equal(found.state["values"], STATE["values"])
    assert found.state["optimizer"]["state"][0]["step"] == 7.0
    assert found.state["optimizer"]["param_groups"][0]["lr"] == 0.01
    assert [path.name for path in (tmp_path / LAST).parent.iterdir()] == [LAST.name]


def test_a_run_without_one_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"last\.pt: no such file; the run ended before its first checkpoint"):
        load_checkpoint(tmp_path, "0123")


def test_other_data_or_parameters_are_noticed(tmp_path):
    save_checkpoint(tmp_path, Checkpoint(3, STATE, "0123"))
    with pytest.raises(ValueError, match="made with other data or parameters"):
        load_checkpoint(tmp_path, "4567")


@pytest.mark.parametrize(
    ("contents", "message"),
    [({"epoch": 1, "values": Surprise()}, "damaged"), ({"epoch": 1, "values": torch.zeros(2)}, "of another version")],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, contents, message):
    (tmp_path / LAST).parent.mkdir()
    torch.save(contents, tmp_path / LAST)
    with pytest.raises(ValueError, match=rf"last\.pt: {message}; start the run anew"):
        load_checkpoint(tmp_path, "0123")


def test_half_a_checkpoint_is_refused(tmp_path):
    save_checkpoint(tmp_path, Checkpoint(3, STATE, "0123"))
    path = tmp_path / LAST
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"last\.pt: damaged"):
        load_checkpoint(tmp_path, "0123")
