"""Parsl on this machine: to try a campaign's set-up before it goes to a cluster.

python 022-run-campaign.py --executor parsl --parsl-config configs/parsl/local.py
"""

import os
import pathlib
import sys

from parsl import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

ROOT = pathlib.Path(__file__).resolve().parents[2]  # of the project
N_QUANTUM = 2  # calculations at a time
N_LEARNING = 2  # trainings, runs of dynamics and predictions at a time

WORKER_INIT = f"""
export PYTHONPATH={ROOT}:$PYTHONPATH
export PATH={os.path.dirname(sys.executable)}:$PATH
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
"""


def make_executor(label: str, n_workers: int) -> HighThroughputExecutor:
    return HighThroughputExecutor(
        label=label,
        address="127.0.0.1",
        max_workers_per_node=n_workers,
        cores_per_worker=0.01,  # the number of workers is what counts here, not that of processors
        encrypted=False,  # all on one machine
        heartbeat_period=5,  # [s]
        heartbeat_threshold=20,  # [s] after which workers end that hear nothing of a campaign: it was killed
        provider=LocalProvider(worker_init=WORKER_INIT, init_blocks=1, max_blocks=1),
    )


def config(run_dir: str) -> Config:
    executors = [make_executor("quantum", N_QUANTUM), make_executor("learning", N_LEARNING)]
    return Config(executors=executors, run_dir=run_dir, strategy="none")
