"""States and reports as plain values."""

import dataclasses
import json

import torch

from common.files.tensor_file import read_tensors, write_tensors
from common.stability.learning import Step
from common.stability.pool import PoolEpoch
from common.stability.run_state import LEARNING, Report, RunState, describe, from_plain, to_plain


def make_state():
    tensor = torch.randn(4, 9, 3)
    pool = PoolEpoch(tensor, torch.arange(4), torch.zeros(4), torch.ones(4, 1), {"adf": torch.rand(4, 1, 5)})
    return RunState(
        cycle=2,
        phase=LEARNING,
        epoch=3,
        n_epochs=11,
        parameters=[tensor],
        optimizer={0: {"step": torch.tensor(4.0), "exp_avg": tensor}},
        n_decays=1,
        best_share=0.5,
        n_bad_epochs=2,
        n_calm_epochs=0,
        coords=tensor,
        velocities=tensor,
        thermostat=torch.zeros(4, 2, 3),
        is_parked=torch.tensor([True, False, False, True]),
        stable_steps=torch.arange(4),
        earlier=[(tensor, tensor, torch.zeros(4, 2, 3))],
        pool=[pool],
    )


def test_a_state_survives_a_file(tmp_path):
    before = make_state()
    write_tensors(to_plain(before), tmp_path / "state.pt")
    after = from_plain(read_tensors(tmp_path / "state.pt"))
    for field in dataclasses.fields(RunState):
        a, b = getattr(before, field.name), getattr(after, field.name)
        if isinstance(a, torch.Tensor):
            assert torch.equal(a, b)
        elif isinstance(a, str | int | float):
            assert a == b
    assert torch.equal(before.pool[0].values["adf"], after.pool[0].values["adf"])
    assert torch.equal(before.earlier[0][0], after.earlier[0][0])
    assert torch.equal(before.optimizer[0]["exp_avg"], after.optimizer[0]["exp_avg"])


def test_a_report_becomes_a_row_that_json_holds():
    step = Step(torch.zeros(3), 2.0, 1.0, {"adf": 0.1}, 50.0, 3.0, 4.0, -0.5, 0.7)
    report = Report(
        1, LEARNING, 2, 8, 3, 0.375, {"bond": 3}, (step, dataclasses.replace(step, quantum_loss=0.9)), 1e-3, 24, 100, 3
    )
    row = json.loads(json.dumps(describe(report)))
    assert row["n_steps"] == 2
    assert row["quantum_loss"] == 1.0
    assert row["last_quantum_loss"] == 0.9
    assert row["causes"] == "bond:3"
    assert row["losses"] == {"adf": 0.1}
    assert describe(dataclasses.replace(report, steps=()))["cosine"] is None
