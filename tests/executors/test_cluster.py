"""Parsl: configurations that are refused, and the local one at work, killed, and gone."""

import os
import signal
import subprocess
import sys

import pytest

from common.executors.cluster import ClusterExecutor, read_config
from tests.executors.methods import METHODS
from tests.helpers import ROOT
from tests.processes_left import list_processes, wait_until_gone

pytest.importorskip("parsl")

LOCAL = ROOT / "configs" / "parsl" / "local.py"
GONE_SECONDS = 60.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no function config\(run_dir\)"),
        ("import nonsense", "ModuleNotFoundError: No module named 'nonsense'"),
        ("def config(run_dir): return 3", "gives int, expected a parsl.Config"),
        (
            "from parsl import Config\nfrom parsl.executors import ThreadPoolExecutor as T\n"
            "def config(run_dir): return Config(executors=[T(label='cpu'), T(label='gpu')])",
            r"has executors \['cpu', 'gpu'\]; expected one, or those labelled quantum and learning",
        ),
    ],
)
def test_a_file_that_will_not_do_is_refused(tmp_path, text, message):
    path = tmp_path / "cluster.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(path, tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="configs/parsl/ has some to start from"):
        read_config(tmp_path / "none.py", tmp_path)


@pytest.mark.parametrize("name", ["local.py", "slurm.py"])
def test_shipped_files_can_be_read(tmp_path, name, monkeypatch):
    monkeypatch.setattr("parsl.addresses.address_by_interface", lambda interface: "127.0.0.1")
    config = read_config(LOCAL.with_name(name), tmp_path)
    assert [executor.label for executor in config.executors] == ["quantum", "learning"]
    for executor in config.executors:
        assert executor.heartbeat_threshold <= GONE_SECONDS


@pytest.mark.filterwarnings("ignore")  # Parsl's own, of threads that are still ending
def test_tasks_run_elsewhere_and_a_killed_worker_costs_its_own_task_alone(tmp_path):
    with ClusterExecutor(METHODS, LOCAL, tmp_path) as executor:
        executor.submit("pid", 0.0)
        assert executor.wait(60.0).result() != os.getpid()
        executor.submit("fail", None)
        assert isinstance(executor.wait(60.0).exception(), ZeroDivisionError)
        futures = {executor.submit("sleep", 0.5): 0.5, executor.submit("kill", None): None}
        for _ in range(2):
            future = executor.wait(60.0)
            assert (future.result() if futures[future] else future.exception()) is not None
        executor.submit("learn", 4)
        assert executor.wait(60.0).result() == 8


def test_no_process_is_left_by_one_that_is_killed(tmp_path):
    mark = f"cluster-test-{os.getpid()}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARK": mark}
    command = [sys.executable, "-m", "tests.executors.program", "parsl", str(tmp_path), "600"]
    program = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert program.stdout.readline() == "at work\n"
    assert len(list_processes(mark)) >= 8
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    program.stdout.close()
    assert wait_until_gone(mark, GONE_SECONDS) == []
