"""What the one reduction of a fit costs: adding up Gram matrices over processes, by the number of features.

    python -m benchmarks.reduction --features 600 10000 --processes 2 4

One matrix of the statistics, of all features and the residual, goes through the same call that the pass makes. A source
has four of them for each split, and two for each fold. Wall seconds, the median of some rounds: on one machine all
processes share its cores, so that this is an upper bound of the work, and says nothing of a network.
"""

import argparse
import pathlib
import tempfile
import time

import numpy
import torch

from common.processes.memory import measure_peak_memory
from common.processes.ranks import Ranks, run_ranks
from common.processes.stage import run_stage

N_ROUNDS = 5


def reduce(ranks: Ranks, n_features: int, path: str) -> None:
    """One rank: makes a matrix, adds it up over all, and on rank 0 writes the seconds and its memory."""
    matrix = torch.full((n_features + 1, n_features + 1), 1.0, dtype=torch.float64)
    ranks.sum_in_place(matrix)
    seconds = []
    for _ in range(N_ROUNDS):
        ranks.wait()
        start = time.perf_counter()
        ranks.sum_in_place(matrix)
        seconds.append(time.perf_counter() - start)
    memory = ranks.find_largest(measure_peak_memory())
    if ranks.rank == 0:
        pathlib.Path(path).write_text(f"{numpy.median(seconds)} {memory}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, nargs="+", default=(600, 10_000))
    parser.add_argument("--processes", type=int, nargs="+", default=(2, 4))
    arguments = parser.parse_args()
    print("| features | processes | matrix [MB] | reduction [s] | peak memory of each [MB] |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for n_features in arguments.features:
        for n_processes in arguments.processes:
            with tempfile.NamedTemporaryFile() as file:
                run_ranks(reduce, (n_features, file.name), n_processes)
                seconds, memory = map(float, pathlib.Path(file.name).read_text().split())
            size = 8e-6 * (n_features + 1) ** 2
            print(f"| {n_features:,} | {n_processes} | {size:,.1f} | {seconds:.4f} | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    run_stage(main)
