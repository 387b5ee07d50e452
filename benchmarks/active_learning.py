"""What the machinery of a campaign costs: engine, core, selection, and whether the workers are kept busy.

python -m benchmarks.active_learning                 all but Parsl, about two minutes
python -m benchmarks.active_learning --parsl         Parsl on this machine, too
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

from common.active_learning.records import read_campaign
from common.executors.cluster import ClusterExecutor
from common.executors.interface import Executor, Method
from common.executors.local import LocalExecutor
from common.selection.disagreement import compute_energy_disagreement, select_by_disagreement
from common.tasks.timing import Call, run_timed
from tests.active_learning.spaces import write_space
from tests.steering.simulation import World, make_campaign, run_campaign

ROOT = pathlib.Path(__file__).resolve().parents[1]
METHODS = {"task": Method(run_timed, "quantum"), "learn": Method(run_timed, "learning")}
N_ROUND_TRIPS, N_TASKS = 300, 1000
N_LABELS = 10_000
N_FRAMES, N_MEMBERS = 5000, 8
SLEEPY = "function:benchmarks.active_learning:sleep_and_pull"
SECONDS_A_LABEL = 3.0


def do_nothing(payload: object) -> object:
    return payload


def sleep_and_pull(numbers: numpy.ndarray, coords: numpy.ndarray, charge: int) -> tuple[float, numpy.ndarray]:
    """A level that takes as long as DFT of a small molecule and no processor."""
    from tests.tasks.made_up import springs

    time.sleep(SECONDS_A_LABEL)
    return springs(numbers, coords, charge)


def time_engine(executor: Executor, name: str) -> None:
    """Round trips one by one, and many tasks at once."""
    executor.submit("task", Call(do_nothing, 0))
    executor.wait(120.0)
    trips = []
    for i in range(N_ROUND_TRIPS):
        start = time.perf_counter()
        executor.submit("task", Call(do_nothing, i))
        executor.wait(120.0)
        trips.append(time.perf_counter() - start)
    start = time.perf_counter()
    for i in range(N_TASKS):
        executor.submit("task", Call(do_nothing, i))
    for _ in range(N_TASKS):
        executor.wait(120.0)
    at_once = (time.perf_counter() - start) / N_TASKS
    print(f"{name}: round trip {1e3 * statistics.median(trips):.2f} ms (median), at once {1e3 * at_once:.2f} ms a task")


def time_core() -> None:
    """The time of an event, from the first label to the last, by the processor's clock."""
    world = World(0, error=1e-5)
    campaign = make_campaign(
        budget=N_LABELS, retrain_interval=500, n_labels_ahead=500, max_run_length=40, max_pool=2000, chunk_size=100
    )
    times: list[tuple[int, float]] = []
    handle = campaign.handle

    def timed(event):
        start = time.process_time()
        commands = handle(event)
        times.append((campaign.calculator.account.n_labels, time.process_time() - start))
        return commands

    campaign.handle = timed
    run_campaign(campaign, world, max_events=10**6)
    late = [seconds for n_labels, seconds in times if n_labels > 0.9 * N_LABELS]
    print(
        f"core: {len(times)} events up to {N_LABELS} labels; above {int(0.9 * N_LABELS)} labels "
        f"{1e3 * statistics.fmean(late):.3f} ms an event on average, {1e3 * statistics.median(late):.3f} ms median, "
        f"{1e3 * max(late):.0f} ms at most (a selection)"
    )


def time_selection() -> None:
    """The rule on a large pool, until nothing is left to choose."""
    random = numpy.random.default_rng(0)
    energies = random.normal(size=(N_FRAMES, N_MEMBERS))
    start = time.process_time()
    disagreement = compute_energy_disagreement(energies, numpy.full(N_FRAMES, 9))
    chosen = select_by_disagreement(disagreement, energies, N_FRAMES).chosen
    print(f"selection: {N_FRAMES} frames, {N_MEMBERS} members: {time.process_time() - start:.3f} s for {len(chosen)}")


def time_utilization(folder: pathlib.Path) -> None:
    """A campaign of calculations that take seconds, two at a time: how long both workers were busy."""
    space = write_space(folder / "space", SLEEPY)
    options = (
        *("--num-to-run", 40, "--n-initial", 12, "--n-starts", 6, "--ensemble-size", 2, "--retrain-freq", 10),
        *("--labels-ahead", 10, "--batch-size", 6, "--max-steps", 20, "--final-max-steps", 20),
        *("--min-run-length", 10, "--max-run-length", 40, "--energy-tolerance", 2, "--infer-chunk-size", 10),
        *("--frame-interval", 2, "--max-pool", 60, "--num-qc-workers", 2, "--num-learning-workers", 1),
    )
    command = [
        sys.executable,
        ROOT / "022-run-campaign.py",
        "--search-space",
        space,
        "--output",
        folder / "out",
        *options,
    ]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    (campaign,) = (folder / "out").iterdir()
    record = read_campaign(campaign)
    spans = [(span.start, span.end) for span in record.spans if span.kind == "calculate"]
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    busy = sum(end - start for start, end in spans)
    print(
        f"utilization: {len(spans)} calculations of {SECONDS_A_LABEL:.0f} s, two at a time: the workers were busy "
        f"{busy / 2 / (last - first):.0%} of the {last - first:.0f} s from the first to the last; "
        f"overhead of a task {1e3 * statistics.median(record.overheads):.1f} ms (median)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parsl", action="store_true")
    arguments = parser.parse_args()
    time_selection()
    time_core()
    with LocalExecutor(METHODS, {"quantum": 2, "learning": 1}) as executor:
        time_engine(executor, "local (Pebble), 2 workers")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.parsl:
            with ClusterExecutor(METHODS, ROOT / "configs" / "parsl" / "local.py", folder) as executor:
                time_engine(executor, "Parsl HTEX on this machine, 2 workers")
        time_utilization(pathlib.Path(folder))


if __name__ == "__main__":
    main()
