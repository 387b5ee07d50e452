"""Ranks: processes spawned on this machine, or given by torchrun on one machine or many. The same code for both."""

import collections.abc
import contextlib
import datetime
import pathlib
import signal
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

DEADLY = (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)
"""Exit codes of ranks that did not end by themselves; those that are stopped for another's failure have SIGTERM's."""

FAILURE = "failure"
"""Where the first rank that fails says so, before the others, which wait for it, fail for want of it."""


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

    def share(self, value: typing.Any) -> typing.Any:
        """What the first rank has, on each; the others may give None. Own processes alone are told."""
        values = [value]
        if self.world_size > 1:
            torch.distributed.broadcast_object_list(values, 0)
        return values[0]

    def wait(self) -> None:
        """Returns when all ranks have come here."""
        if self.world_size > 1:
            torch.distributed.barrier()


@contextlib.contextmanager
def join_torchrun() -> collections.abc.Iterator[Ranks]:
    """The ranks that torchrun has started, connected by gloo."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", timeout=TIMEOUT)
    try:
        ranks = Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
        yield ranks
        ranks.wait()  # nobody leaves while others may still talk to it: gloo may abort the one that does
    finally:
        torch.distributed.destroy_process_group()


def run_ranks(function: collections.abc.Callable[..., object], args: tuple, n_processes: int) -> None:
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
    with give_one_thread(), tempfile.TemporaryDirectory() as folder:
        with hold_ctrl_c():  # the parent hears it and stops the ranks
            context = torch.multiprocessing.spawn(
                _start_rank, (n_processes, folder, function, args), nprocs=n_processes, join=False
            )
        try:
            while not context.join():
                pass
        except (torch.multiprocessing.ProcessExitedException, torch.multiprocessing.ProcessRaisedException) as error:
            raise RuntimeError(_describe_end(error, [p.exitcode for p in context.processes], folder)) from error


def _describe_end(
    error: torch.multiprocessing.ProcessExitedException | torch.multiprocessing.ProcessRaisedException,
    exit_codes: list[int | None],
    folder: str,
) -> str:
    """Which rank failed and why: the first one, since those that wait for it then fail, too."""
    killed = [rank for rank, code in enumerate(exit_codes) if code in DEADLY]
    if killed or isinstance(error, torch.multiprocessing.ProcessExitedException):
        rank = killed[0] if killed else error.error_index
        code = exit_codes[rank] or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return (
            f"rank {rank} died ({how}) and the others were stopped; if memory ran out use fewer processes; run the "
            "same command to go on from the finished shards"
        )
    try:
        first, reason = (pathlib.Path(folder) / FAILURE).read_text().split(" ", 1)
    except FileNotFoundError:  # it failed before it could work
        first, reason = str(error.error_index), str(error).strip().splitlines()[-1]
    return f"rank {first} failed and the others were stopped: {reason}"


def _start_rank(rank: int, world_size: int, folder: str, function: collections.abc.Callable, args: tuple) -> None:
    end_with_parent()
    torch.set_num_threads(1)
    rendezvous = pathlib.Path(folder) / "rendezvous"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size, timeout=TIMEOUT
    )
    try:
        ranks = Ranks(rank, world_size)
        function(ranks, *args)
        ranks.wait()  # see join_torchrun
    except Exception as error:
        with contextlib.suppress(FileExistsError), (pathlib.Path(folder) / FAILURE).open("x") as file:
            is_expected = isinstance(error, ValueError | OSError)
            file.write(f"{rank} {describe_error(error) if is_expected else f'{type(error).__name__}: {error}'}")
        raise
    finally:
        torch.distributed.destroy_process_group()
