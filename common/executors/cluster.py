"""Tasks on the nodes of a cluster, by Parsl's HighThroughputExecutor.

A Python file says where: one function ``config(run_dir) -> parsl.Config``. Executors labelled ``quantum`` and
``learning`` take the work of their name; where there is one executor alone, it takes all. ``configs/parsl/`` has a file
for this machine and one to be adapted to Slurm.

Parsl's interchange outlives a killed owner: a watchdog ends it, and the workers on the nodes end once they hear
nothing of it, after ``heartbeat_threshold`` of the file.
"""

import collections.abc
import concurrent.futures
import importlib.util
import os
import pathlib
import sys
import typing

from common.executors.interface import LABELS, Executor, Method
from common.executors.watchdog import Watchdog
from common.processes.interrupts import hold_ctrl_c


def read_config(path: str | os.PathLike, run_dir: str | os.PathLike) -> typing.Any:
    """The configuration that a file gives.

    Args:
        path: a Python file with a function ``config(run_dir)``.
        run_dir: where Parsl writes its own files.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: Parsl is not installed, the file has no such function, or gives something else.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; configs/parsl/ has some to start from")
    if importlib.util.find_spec("parsl") is None:
        raise ValueError("the executor parsl needs Parsl: pip install parsl")
    import parsl

    spec = importlib.util.spec_from_file_location("parsl_config", path)
    assert spec is not None and spec.loader is not None  # of any .py file
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        make = module.config
    except AttributeError as error:
        raise ValueError(f"{path}: has no function config(run_dir) that gives a parsl.Config") from error
    except Exception as error:  # whatever the user's file does wrong is for the user to read
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    config = make(str(run_dir))
    if not isinstance(config, parsl.Config):
        raise ValueError(f"{path}: config(run_dir) gives {type(config).__name__}, expected a parsl.Config")
    labels = [executor.label for executor in config.executors]
    if len(labels) > 1 and not set(LABELS) <= set(labels):
        raise ValueError(f"{path}: has executors {labels}; expected one, or those labelled {' and '.join(LABELS)}")
    return config


class ClusterExecutor(Executor):
    """Parsl's executors by label; time limits are not kept, a calculation keeps its own."""

    def __init__(
        self,
        methods: collections.abc.Mapping[str, Method],
        path: str | os.PathLike,
        run_dir: str | os.PathLike,
        wait_for_workers: bool = True,
    ):
        """Starts Parsl, and waits until a worker of each executor has answered: it may stand in a queue for long.

        Args:
            methods: by name.
            path: of the file with the configuration.
            run_dir: where Parsl writes its own files.
            wait_for_workers: False to go on at once.

        Raises:
            FileNotFoundError, ValueError: as :func:`read_config`.
            RuntimeError: a worker cannot import this project.
        """
        super().__init__(methods)
        from parsl.concurrent import ParslPoolExecutor
        from parsl.dataflow.dflow import DataFlowKernel

        config = read_config(path, run_dir)
        config.initialize_logging = False
        # Parsl finds its own programs by PATH, which lacks the folder of an interpreter that is called by its full path
        os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
        self._watchdog = Watchdog()
        with hold_ctrl_c():
            self._kernel: typing.Any = DataFlowKernel(config)
        try:
            labels = [executor.label for executor in config.executors]
            self._pools = {
                label: ParslPoolExecutor(dfk=self._kernel, executors=[label if label in labels else labels[0]])
                for label in LABELS
            }
            for executor in config.executors:
                process = getattr(executor, "interchange_proc", None)
                if process is not None:
                    self._watchdog.guard(process.pid)
            if wait_for_workers:
                self._probe()
        except BaseException:
            self.close()
            raise

    def _probe(self) -> None:
        for label, pool in self._pools.items():
            try:
                pool.submit(_answer, None).result()
            except Exception as error:
                raise RuntimeError(
                    f"a worker of the Parsl executor for {label!r} cannot import this project "
                    f"({type(error).__name__}: {error}): set PYTHONPATH in worker_init, as configs/parsl/ shows"
                ) from error

    def _submit(self, method: Method, payload: typing.Any) -> concurrent.futures.Future:
        return self._pools[method.label].submit(method.function, payload)

    def cancel(self, future: concurrent.futures.Future) -> None:
        """Parsl cannot cancel: the task runs, and nobody looks at its result."""

    def close(self) -> None:
        self._kernel.cleanup()
        self._watchdog.close()


def _answer(payload: None) -> str:
    """What a worker does to show that it is there and can import the project: running this is the proof."""
    return "here"
