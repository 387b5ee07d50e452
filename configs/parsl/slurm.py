"""Parsl on a cluster with Slurm: copy this file, and change all that stands in capitals.

    python 022-run-campaign.py --executor parsl --parsl-config my_cluster.py

Run the campaign itself where it may stay for the whole time, e.g. on a login node in tmux, or as a small job. The run
folder must lie on a disk that all nodes see: models, frames and results go through it. Which of its settings are right
depends on the cluster; https://parsl.readthedocs.io/en/stable/userguide/configuration has examples of many.
"""

import os
import pathlib
import sys

from parsl import Config
from parsl.addresses import address_by_interface
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

ROOT = pathlib.Path(__file__).resolve().parents[2]  # of the project: an absolute path if you copy the file elsewhere
PARTITION_OF_CPUS = "CPU"  # names of partitions (sinfo shows them)
PARTITION_OF_GPUS = "GPU"
ACCOUNT = "MY-ACCOUNT"
INTERFACE = "eth0"  # the network that compute nodes reach this machine by (ip addr shows them)

# What a worker needs: this project and this interpreter; one thread each, unless a calculation should have more.
WORKER_INIT = f"""
export PYTHONPATH={ROOT}:$PYTHONPATH
export PATH={os.path.dirname(sys.executable)}:$PATH
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
"""


def config(run_dir: str) -> Config:
    # Quantum calculations: nodes of processors, one worker for each calculation at a time. Match --num-qc-workers of
    # the campaign to max_blocks * max_workers_per_node.
    quantum = HighThroughputExecutor(
        label="quantum",
        address=address_by_interface(INTERFACE),
        max_workers_per_node=32,
        heartbeat_period=15,
        heartbeat_threshold=60,  # [s] workers end that hear nothing of a campaign: it was killed
        provider=SlurmProvider(
            partition=PARTITION_OF_CPUS,
            account=ACCOUNT,
            nodes_per_block=1,
            cores_per_node=32,
            init_blocks=1,
            min_blocks=0,
            max_blocks=4,  # jobs at a time
            walltime="12:00:00",
            launcher=SrunLauncher(),
            worker_init=WORKER_INIT,
        ),
    )
    # Training, dynamics and predictions: a node with GPUs, one worker for each (run the campaign with --device cuda).
    learning = HighThroughputExecutor(
        label="learning",
        address=address_by_interface(INTERFACE),
        available_accelerators=4,
        heartbeat_period=15,
        heartbeat_threshold=60,
        provider=SlurmProvider(
            partition=PARTITION_OF_GPUS,
            account=ACCOUNT,
            nodes_per_block=1,
            scheduler_options="#SBATCH --gpus-per-node=4",
            init_blocks=1,
            max_blocks=1,
            walltime="12:00:00",
            launcher=SrunLauncher(),
            worker_init=WORKER_INIT,
        ),
    )
    # retries=0: the campaign decides what becomes of a task that failed
    return Config(executors=[quantum, learning], run_dir=run_dir, retries=0)
