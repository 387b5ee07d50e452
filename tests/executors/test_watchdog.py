"""Processes end after their owner, if that was killed."""

import os
import signal
import subprocess
import sys

from common.executors.watchdog import Watchdog
from tests.helpers import ROOT
from tests.processes_left import list_processes, wait_until_gone

PROGRAM = """
import subprocess, sys, time
from common.executors.watchdog import Watchdog
watchdog = Watchdog()
others = [subprocess.Popen([sys.executable, "-c", code], start_new_session=True) for code in (
    "import time; time.sleep(600)",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)]
for other in others:
    watchdog.guard(other.pid)
time.sleep(600)
"""


def test_what_it_guards_ends_with_an_owner_that_is_killed_even_what_is_deaf():
    mark = f"watchdog-test-{os.getpid()}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARK": mark}
    owner = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert owner.stdout.readline() == "deaf\n"
    assert len(list_processes(mark)) == 4
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert wait_until_gone(mark, 30.0) == []


def test_after_a_farewell_nothing_is_ended():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        watchdog = Watchdog()
        watchdog.guard(other.pid)
        watchdog.close()
        assert other.poll() is None
        other.kill()


def test_a_watchdog_that_was_killed_is_no_misfortune():
    watchdog = Watchdog()
    watchdog._process.kill()
    watchdog._process.wait()
    watchdog.guard(1)
    watchdog.close()
