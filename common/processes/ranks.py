"""Ranks: processes spawned on this machine, or given by torchrun on one machine or many. The same code for both."""

import collections.abc
import contextlib
import datetime
import os
import pathlib
import tempfile
import typing

import torch
import torch.distributed
import torch.multiprocessing

from common.processes.interrupts import end_with_parent, hold_ctrl_c
from common.processes.stage import describe_error
from common.processes.threads import give_one_thread

TIMEOUT = datetime.timedelta(hours=12)
"""How long a rank waits for the others: they may have more to do, or a slower disk."""


class Ranks(typing.NamedTuple):
    """One process among the others."""

    rank: int
    world_size: int

    def sum_in_place(self, tensor: torch.Tensor) -> torch.Tensor:
        """Adds up a tensor over all ranks, in place on each."""
        if self.world_size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def find_largest(self, value: float) -> float:
        """The largest of the values of all ranks, on each."""
        largest = torch.tensor(value, dtype=torch.float64)
        if self.world_size > 1:
            torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
        return largest.item()

    def wait(self) -> None:
        """Returns when all ranks have come here."""
        if self.world_size > 1:
            torch.distributed.barrier()


def is_under_torchrun() -> bool:
    """True where torchrun has started this process and will start, or has started, its fellows."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextlib.contextmanager
def join_torchrun() -> collections.abc.Iterator[Ranks]:
    """The ranks that torchrun has started, connected by gloo."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


def run_ranks(function: collections.abc.Callable[..., None], args: tuple, n_processes: int) -> None:
    """Runs ``function(ranks, *args)`` in processes on this machine; with one, in this process.

    Args:
        function: a module-level function (it is sent to the processes by name).
        args: its further arguments.
        n_processes: number of ranks, each with one thread.

    Raises:
        RuntimeError: a rank failed or was killed; the others have been stopped.
    """
    if n_processes == 1:
        function(Ranks(0, 1), *args)
        return
    try:
        with give_one_thread(), tempfile.TemporaryDirectory() as folder:
            rendezvous = pathlib.Path(folder) / "rendezvous"
            with hold_ctrl_c():  # the parent hears it and stops the ranks
                processes = torch.multiprocessing.spawn(
                    _start_rank, (n_processes, str(rendezvous), function, args), nprocs=n_processes, join=False
                )
            while not processes.join():
                pass
    except torch.multiprocessing.ProcessExitedException as error:
        raise RuntimeError(
            f"rank {error.error_index} died ({error}) and the others were stopped; if memory ran out use fewer "
            "processes; run the same command to go on from the finished shards"
        ) from error
    except torch.multiprocessing.ProcessRaisedException as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("RuntimeError: ")
        raise RuntimeError(f"rank {error.error_index} failed and the others were stopped: {reason}") from error


def _start_rank(rank: int, world_size: int, rendezvous: str, function: collections.abc.Callable, args: tuple) -> None:
    end_with_parent()
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size, timeout=TIMEOUT
    )
    try:
        function(Ranks(rank, world_size), *args)
    except (ValueError, OSError) as error:  # what is to be done about it goes to the parent as text
        raise RuntimeError(describe_error(error)) from error
    finally:
        torch.distributed.destroy_process_group()
