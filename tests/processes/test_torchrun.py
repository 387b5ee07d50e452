"""What torchrun tells, as stages hear it."""

import pytest

from common.processes.stage import run_stage
from common.processes.torchrun import is_first_rank, is_under_torchrun


@pytest.fixture
def under_torchrun(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "3")  # of something else
    assert not is_under_torchrun()
    assert is_first_rank()


@pytest.mark.parametrize(("rank", "is_first"), [("0", True), ("1", False), ("10", False)])
def test_one_rank_is_the_first(under_torchrun, rank, is_first, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    assert is_under_torchrun()
    assert is_first_rank() == is_first


@pytest.mark.parametrize(("rank", "uses_ranks", "n_runs"), [("0", False, 1), ("1", False, 0), ("1", True, 1)])
def test_a_stage_that_shares_no_work_is_run_by_one_rank(under_torchrun, rank, uses_ranks, n_runs, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    runs = []
    run_stage(lambda: runs.append(rank), uses_ranks=uses_ranks)
    assert len(runs) == n_runs
