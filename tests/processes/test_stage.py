"""The frame of a stage: one readable line, the right exit status, nothing left running."""

import errno
import os
import re
import subprocess
import sys

import pytest

from common.processes.stage import describe_error, run_stage
from tests.helpers import ROOT

IMPATIENT = """
import atexit, signal
from common.processes.stage import run_stage

def main():
    atexit.register(signal.raise_signal, signal.SIGINT)
    signal.raise_signal(signal.SIGINT)

run_stage(main)
"""


def test_a_second_ctrl_c_adds_no_noise():
    root = ROOT
    done = subprocess.run([sys.executable, "-c", IMPATIENT], capture_output=True, text=True, cwd=root)
    assert done.returncode == 130
    assert done.stderr == "\nstopped by Ctrl-C; all workers have ended, run the same command to go on\n"


@pytest.mark.parametrize("error", [ValueError("x: damaged"), OSError("x: gone"), RuntimeError("x: died")])
def test_an_expected_error_is_one_line_and_exit_status_1(error, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as caught:
        run_stage(main)
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"\nerror: {error}\n"


def test_a_fault_of_the_code_keeps_its_traceback():
    def main():
        raise KeyError("unexpected")

    with pytest.raises(KeyError):
        run_stage(main)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "out.pt: the disk is full; free some space"),
        (errno.EDQUOT, "out.pt: the disk is full; free some space"),
        (errno.EROFS, "out.pt: .*; see to the permissions there, or name another place"),
        (errno.EACCES, "out.pt: .*; see to the permissions there, or name another place"),
    ],
)
def test_what_the_system_says_is_completed(number, advice):
    assert re.match(advice, describe_error(OSError(number, os.strerror(number), "out.pt")))
