"""Many processes on one machine, for work that falls into independent items."""

import collections.abc
import concurrent.futures
import concurrent.futures.process
import contextlib
import dataclasses
import functools
import itertools
import multiprocessing
import typing

from common.processes.interrupts import end_with_parent, hold_ctrl_c, kill_workers
from common.processes.main_module import is_of_main_module, spare_main_module
from common.processes.memory import measure_peak_memory, remember_worker
from common.processes.progress import make_bar
from common.processes.threads import give_one_thread

Function = collections.abc.Callable[[typing.Any], typing.Any]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A function that each process makes for itself, once, before its first item: it has something to load or to keep.

    For example, with ``make_evaluator(path)`` that loads a model and returns a function of a molecule, ::

        run_in_processes(Prepared(make_evaluator, (path,)), molecules, ...)

    Attributes:
        make_function: a module-level function or class; what it returns is applied to the items. It and
        args: its arguments, are sent to each process once; what it returns need not be fit to be sent.
    """

    make_function: collections.abc.Callable[..., Function]
    args: tuple = ()


def run_in_processes(
    function: Function | Prepared,
    items: collections.abc.Iterable[typing.Any],
    n_workers: int,
    sizes: collections.abc.Sequence[int],
    description: str,
    unit: str,
) -> collections.abc.Iterator[typing.Any]:
    """Yields ``function(item)`` for each item, in the order of the items, with a progress bar.

    Each worker is a fresh process with one thread; with ``n_workers=1`` the work is done in this process. No more
    than a few items for each worker are under way or waiting to be taken: memory does not grow with their number.
    Workers load the script that was started only if ``function`` is defined there; items must not be.

    Args:
        function: a module-level function, or a ``functools.partial`` of one (it is sent to each worker once, by name);
            :class:`Prepared` where each process has to load something first.
        items: may be a generator.
        n_workers: number of processes.
        sizes: how far each item takes the progress bar.
        description, unit: what the bar says, and what it counts.

    Raises:
        whatever ``function``, or its making, raises; the other workers are stopped first.
        RuntimeError: a worker died (out of memory, or killed).
    """
    prepared = function if isinstance(function, Prepared) else Prepared(functools.partial, (function,))
    with make_bar(total=sum(sizes), desc=description, unit=unit) as bar:
        results = _run_here(prepared, items) if n_workers == 1 else _run_pool(prepared, iter(items), n_workers)
        for result, size in zip(results, sizes, strict=True):
            yield result
            bar.update(size)


def _run_here(prepared: Prepared, items: collections.abc.Iterable[typing.Any]) -> collections.abc.Iterator[typing.Any]:
    yield from map(prepared.make_function(*prepared.args), items)


def _run_pool(
    prepared: Prepared, items: collections.abc.Iterator[typing.Any], n_workers: int
) -> collections.abc.Iterator[typing.Any]:
    executor = concurrent.futures.ProcessPoolExecutor(
        n_workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(prepared,)
    )
    others = multiprocessing.active_children()
    needs_script = is_of_main_module(prepared)

    def submit(n_items: int) -> list[concurrent.futures.Future]:
        lightly = contextlib.nullcontext() if needs_script else spare_main_module()
        with hold_ctrl_c(), give_one_thread(), lightly:  # the executor starts its processes one by one, as need be
            return [executor.submit(_run_item, item) for item in itertools.islice(items, n_items)]

    try:
        pending = submit(4 * n_workers)
        while pending:
            result, peak = pending.pop(0).result()
            remember_worker(peak)
            yield result
            pending += submit(1)
        executor.shutdown()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process died; if it ran out of memory, use fewer workers (--n-workers), then run this stage again"
        ) from error
    except BaseException:  # Ctrl-C among them: no worker outlives the run
        kill_workers(others)
        executor.shutdown(cancel_futures=True)
        raise


# --- in the workers --------------------------------------------------------------------------------------------------

_prepared: Prepared | None = None
"""What this worker makes its function of; set when it starts."""

_function: Function | None = None
"""What this worker applies to items; made before the first of them."""


def _start_worker(prepared: Prepared) -> None:
    global _prepared
    end_with_parent()
    _prepared = prepared


def _run_item(item: typing.Any) -> tuple[typing.Any, float]:
    # an error in the making reaches the caller as it is; raised in _start_worker it would only say that a worker broke
    global _function
    if _function is None:
        assert _prepared is not None
        _function = _prepared.make_function(*_prepared.args)
    return _function(item), measure_peak_memory()
