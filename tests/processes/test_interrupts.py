"""Ctrl-C: put off, repeated, never lost."""

import signal
import subprocess
import sys
import threading

import pytest

from common.processes.interrupts import hold_ctrl_c
from tests.helpers import ROOT

LOST = """
import signal, time
from common.processes.stage import run_stage

class Last:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def main():
    Last()
    time.sleep(60)

run_stage(main)
"""


def test_ctrl_c_in_a_destructor_is_not_lost():
    """Python drops errors there, Ctrl-C among them."""
    root = ROOT
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, cwd=root, timeout=30)
    assert done.returncode == 130
    assert done.stderr == "\nstopped by Ctrl-C; all workers have ended, run the same command to go on\n"


@pytest.mark.parametrize("by_other_thread", [False, True])
def test_ctrl_c_is_put_off_until_workers_have_started(by_other_thread):
    """A signal to the process can be taken by any of its threads, blocked or not in the one that starts workers."""
    go, reached_the_end = threading.Event(), False
    other = threading.Thread(target=lambda: (go.wait(), signal.raise_signal(signal.SIGINT)))
    if by_other_thread:
        other.start()
    with pytest.raises(KeyboardInterrupt), hold_ctrl_c():
        if by_other_thread:
            go.set()
            other.join()
        else:
            signal.raise_signal(signal.SIGINT)
        reached_the_end = True
    assert reached_the_end
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
