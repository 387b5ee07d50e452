"""Many processes on one machine, for work that falls into independent items."""

import collections.abc
import concurrent.futures
import contextlib
import errno
import functools
import itertools
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import pathlib
import resource
import signal
import sys
import threading
import typing

import threadpoolctl

from common.files.atomic import FULL_DISK
from common.processes.progress import make_bar

REPEAT_SECONDS = 0.05
"""After which a Ctrl-C that Python has dropped is repeated."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def count_available_cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def run_in_processes(
    function: collections.abc.Callable[[typing.Any], typing.Any],
    items: collections.abc.Iterable[typing.Any],
    n_workers: int,
    sizes: collections.abc.Sequence[int],
    description: str,
    unit: str,
    initializer: collections.abc.Callable[..., None] | None = None,
    initargs: tuple = (),
) -> collections.abc.Iterator[typing.Any]:
    """Yields ``function(item)`` for each item, in the order of the items, with a progress bar.

    Each worker is a fresh process with one thread; with ``n_workers=1`` the work is done in this process. No more
    than a few items for each worker are under way or waiting to be taken: memory does not grow with their number.

    Args:
        function: a module-level function (it is sent to the workers by name).
        items: may be a generator.
        n_workers: number of processes.
        sizes: how far each item takes the progress bar.
        description, unit: what the bar says, and what it counts.
        initializer, initargs: called once in each worker before its first item.

    Raises:
        whatever ``function`` raises; the other workers are stopped first.
        RuntimeError: a worker died (out of memory, or killed).
    """
    with make_bar(total=sum(sizes), desc=description, unit=unit) as bar:
        if n_workers == 1:
            if initializer is not None:
                initializer(*initargs)
            for item, size in zip(items, sizes, strict=True):
                yield function(item)
                bar.update(size)
            return
        with give_one_thread():
            results = _run_pool(function, iter(items), n_workers, initializer, initargs)
            for result, size in zip(results, sizes, strict=True):
                yield result
                bar.update(size)


@contextlib.contextmanager
def give_one_thread() -> collections.abc.Iterator[None]:
    """Processes started in this block have one thread each: their numerical libraries read it when they are loaded."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _run_pool(function, items, n_workers, initializer, initargs) -> collections.abc.Iterator[typing.Any]:
    executor = concurrent.futures.ProcessPoolExecutor(
        n_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(initializer, initargs),
    )
    others = set(multiprocessing.active_children())
    try:
        with hold_ctrl_c():
            pending = [executor.submit(_run_item, function, item) for item in itertools.islice(items, 4 * n_workers)]
        while pending:
            result, peak = pending.pop(0).result()
            global _workers_peak
            _workers_peak = max(_workers_peak, peak)
            yield result
            pending += [executor.submit(_run_item, function, item) for item in itertools.islice(items, 1)]
        executor.shutdown()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process died; if it ran out of memory, use fewer workers (--n-workers), then run this stage again"
        ) from error
    except BaseException:  # Ctrl-C among them: no worker outlives the run
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        executor.shutdown(cancel_futures=True)
        raise


_workers_peak = 0.0
"""[MB] The largest memory that any worker has reported with a result."""

_prepare_worker: collections.abc.Callable[[], None] | None = None
"""In a worker, what is to be called before its first item."""


@contextlib.contextmanager
def hold_ctrl_c() -> collections.abc.Iterator[None]:
    """Puts Ctrl-C off until the end of the block, and for good for processes started in it: their parent stops them.

    A terminal sends Ctrl-C to all of them. One that is still loading its libraries could do no more than complain.
    """
    multiprocessing.resource_tracker.ensure_running()  # now: its start would end the block
    heard: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number)) if is_main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit it, and no handlers
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_main:
            signal.signal(signal.SIGINT, handler)
        if heard:
            signal.raise_signal(signal.SIGINT)


def end_with_parent() -> None:
    """Lets this process, started by ``multiprocessing``, end as soon as its parent does, even if that was killed."""

    def wait() -> None:
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _start_worker(initializer, initargs) -> None:
    end_with_parent()
    global _prepare_worker
    _prepare_worker = None if initializer is None else functools.partial(initializer, *initargs)


def _run_item(function, item):
    # an error here reaches the caller as it is; raised in _start_worker it would only say that a worker broke
    global _prepare_worker
    if _prepare_worker is not None:
        _prepare_worker()
        _prepare_worker = None
    return function(item), measure_peak_memory()


def measure_peak_memory() -> float:
    """The largest resident memory [MB] that this process has had.

    Linux counts it afresh in each program (VmHWM), while ``getrusage`` hands down what the parent had when it started
    this one. Elsewhere ``getrusage`` has to do; it counts in kB, on macOS in bytes.
    """
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def format_peak_memory() -> str:
    """The largest resident memory of this process and of its largest worker, e.g. "312 MB, workers 280 MB"."""
    return f"{measure_peak_memory():.0f} MB" + (f", workers {_workers_peak:.0f} MB" if _workers_peak else "")


def use_one_thread() -> None:
    """Limits the numerical libraries of this process to one thread: stages use processes instead.

    Threads that outnumber the free processors wait for each other, which can cost a factor of ten.
    """
    threadpoolctl.threadpool_limits(limits=1)


def run_stage(main: collections.abc.Callable[[], None]) -> None:
    """Runs a stage's ``main()``; expected errors end it with one readable line and exit status 1, Ctrl-C with 130."""
    sys.unraisablehook = _repeat_lost_ctrl_c
    try:
        use_one_thread()
        try:
            main()
        finally:
            for process in multiprocessing.active_children():  # wherever the error arose, no worker holds up the end
                process.kill()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left that the impatient could stop
        sys.stderr.write("\nstopped by Ctrl-C; all workers have ended, run the same command to go on\n")
        sys.exit(130)
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"\nerror: {describe_error(error)}\n")
        sys.exit(1)


def _repeat_lost_ctrl_c(unraisable: typing.Any) -> None:
    """Python drops a Ctrl-C that comes in a destructor or the callback of a weak reference: it comes once more."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        timer = threading.Timer(REPEAT_SECONDS, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(unraisable)


def describe_error(error: Exception) -> str:
    """What is wrong and what to do about it, where the system says the first alone."""
    number = getattr(error, "errno", None)
    if number in FULL_DISK:
        return (
            f"{error.filename or 'output'}: the disk is full; free some space, then run the same command again: what "
            "is finished will be used"
        )
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"{error.filename}: {error.strerror}; see to the permissions there, or name another place (--help says how)"
        )
    return str(error)
