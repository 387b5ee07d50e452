"""How much memory this process and its workers have had."""

import ctypes
import math
import pathlib
import sys
import types

resource: types.ModuleType | None
try:
    import resource
except ImportError:  # there is no such module on Windows
    resource = None

STATUS = pathlib.Path("/proc/self/status")
"""Where Linux says what a process has used."""

_workers_peak = 0.0
"""[MB] The largest memory that any worker of this process has had."""


def measure_peak_memory() -> float:
    """The largest resident memory [MB] that this process has had; NaN where the system does not say.

    Linux counts it afresh in each program (VmHWM), while ``getrusage`` hands down what the parent had when it started
    this one. Elsewhere ``getrusage`` has to do; it counts in kB, on macOS in bytes.
    """
    if STATUS.is_file():
        return int(STATUS.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    if resource is None:
        return math.nan
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def release_free_memory() -> bool:
    """Gives memory that was freed back to the system; False where the C library keeps it.

    glibc keeps what was freed between blocks that are still in use, so that a process that has once been large for a
    moment, or takes blocks of ever other sizes, stays so.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows has no library of this process
        return False
    return bool(trim(0))


def remember_worker(peak: float) -> None:
    """Keeps in mind what a worker has measured of itself [MB], for :func:`format_peak_memory`."""
    global _workers_peak
    _workers_peak = max(_workers_peak, peak)


def format_peak_memory() -> str:
    """The largest resident memory of this process and of its largest worker, e.g. "312 MB, workers 280 MB"."""
    own = measure_peak_memory()
    if math.isnan(own):
        return "unknown"
    return f"{own:.0f} MB" + (f", workers {_workers_peak:.0f} MB" if _workers_peak else "")
