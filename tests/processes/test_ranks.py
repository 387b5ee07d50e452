"""Ranks: the same work in one process or several, sums over all of them, errors that reach the parent as text."""

import os
import pathlib
import signal

import pytest
import torch

from common.processes.ranks import Ranks, run_ranks


def share_work(ranks: Ranks, folder: pathlib.Path, n_items: int) -> None:
    """Adds up the squares of the numbers below ``n_items``, each rank those that are its own."""
    mine = torch.arange(ranks.rank, n_items, ranks.world_size, dtype=torch.float64)
    total = ranks.sum_in_place((mine**2).sum())
    largest = ranks.find_largest(float(mine.max()))
    ranks.wait()
    (folder / str(ranks.rank)).write_text(f"{total.item()} {largest} {ranks.world_size} {torch.get_num_threads()}")


def fail(ranks: Ranks, how: str) -> None:
    """Rank 1 fails; the other waits for it."""
    if ranks.rank == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("gen2-opt: no such source")
    ranks.wait()


@pytest.mark.parametrize("n_processes", [1, 2])
def test_all_ranks_know_the_sum_and_the_largest(n_processes, tmp_path):
    run_ranks(share_work, (tmp_path, 10), n_processes)
    expected = f"{float(sum(i * i for i in range(10)))} 9.0 {n_processes} 1"
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == [expected] * n_processes


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("value", "rank 1 failed and the others were stopped: gen2-opt: no such source"),
        ("killed", r"rank 1 died \(SIGKILL\) and the others were stopped; if memory ran out use fewer processes"),
    ],
)
def test_a_rank_that_fails_ends_the_others_and_says_why(how, message):
    with pytest.raises(RuntimeError, match=message):
        run_ranks(fail, (how,), 2)


def test_an_error_in_this_process_arrives_as_it_was_raised():
    def complain(ranks: Ranks) -> None:
        raise FileNotFoundError("nowhere")

    with pytest.raises(FileNotFoundError, match="nowhere"):
        run_ranks(complain, (), 1)
