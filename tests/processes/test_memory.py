"""Memory: of this process and of its workers, where the system says it and where not."""

import math
import os
import pathlib
import types

import pytest

from common.processes import memory
from common.processes.memory import format_peak_memory, measure_peak_memory, release_free_memory, remember_worker
from common.processes.pool import run_in_processes


def take_memory(n_megabytes: int) -> float:
    bytearray(n_megabytes * 2**20)
    return measure_peak_memory()


def read_resident_memory() -> float:
    """[MB], now."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_peak_memory_is_said_in_megabytes():
    assert int(format_peak_memory().split()[0]) > 10


def test_peak_memory_is_each_process_own(monkeypatch):
    """A parent that was large once hands nothing down to its workers, which are what they report of themselves."""
    monkeypatch.setattr("common.processes.memory._workers_peak", 0.0)
    own = measure_peak_memory() + 300.0
    bytearray(int((own - read_resident_memory() + 50.0) * 2**20))
    [worker] = run_in_processes(take_memory, [80], 2, [1], "memory", "item")
    assert 80.0 < worker < 0.7 * own < measure_peak_memory()
    assert float(format_peak_memory().split()[-2]) == pytest.approx(worker, abs=5.0)


def test_the_largest_worker_is_remembered(monkeypatch):
    monkeypatch.setattr("common.processes.memory._workers_peak", 0.0)
    for peak in (10.0, 30.0, 20.0):
        remember_worker(peak)
    assert format_peak_memory().endswith(" MB, workers 30 MB")


@pytest.mark.parametrize(("platform", "factor"), [("linux", 1024), ("darwin", 1024**2)])
def test_without_proc_the_system_is_asked(platform, factor, monkeypatch):
    usage = types.SimpleNamespace(ru_maxrss=300 * factor)
    monkeypatch.setattr(memory, "STATUS", pathlib.Path("/nowhere"))
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(memory, "resource", types.SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: usage))
    assert measure_peak_memory() == 300.0


def test_memory_is_unknown_where_nothing_says_it(monkeypatch):
    monkeypatch.setattr(memory, "STATUS", pathlib.Path("/nowhere"))
    monkeypatch.setattr(memory, "resource", None)
    assert math.isnan(measure_peak_memory())
    assert format_peak_memory() == "unknown"


def hold_and_free(_: int) -> tuple[float, float]:
    """[MB] before and after the release of small blocks, every thousandth of which is still in use."""
    blocks = [bytearray(2000) for _ in range(50_000)]
    kept = blocks[::1000]
    del blocks
    before = read_resident_memory()
    released = release_free_memory()
    after = read_resident_memory()
    assert len(kept) == 50
    return (before, after) if released else (before, before - math.inf)


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="the system does not say what is resident")
def test_memory_that_was_freed_goes_back():
    [(before, after)] = run_in_processes(hold_and_free, [0], 2, [1], "memory", "item")
    assert after < before - 20.0


def test_other_c_libraries_keep_it(monkeypatch):
    monkeypatch.setattr("common.processes.memory.ctypes.CDLL", lambda _: object())
    assert release_free_memory() is False
