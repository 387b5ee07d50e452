"""The frame of a stage: how it starts, how it ends when something is wrong."""

import collections.abc
import errno
import os
import pathlib
import shlex
import signal
import sys

from common.files.artifacts import ArtifactError, MissingArtifactError
from common.files.atomic import FULL_DISK
from common.processes.interrupts import kill_workers, repeat_lost_ctrl_c
from common.processes.threads import use_one_thread
from common.processes.torchrun import is_first_rank

SCRIPTS = {
    "raw data": "001-convert-espaloma-data.py",
    "parameters": "002-parameterize.py",
    "clustered data": "003-cluster-and-filter.py",
    "run": "004-train.py",
    "reference": "011-sample-reference.py",
    "potential": "012-pretrain.py",
    "search space": "021-prepare-search-space.py",
    "campaign": "022-run-campaign.py",
    "trajectories": "031-simulate-bodies.py",
    "learned potential": "032-coarse-grain.py",
    "molecules": "041-prepare-molecules.py",
    "generator": "042-train-generator.py",
    "generated molecules": "043-generate.py",
}
"""Which script makes an artifact: the one place in ``common/`` where scripts are named."""


_run: list[str] = []
"""What --resume is to be given to go on, once there is a run that it can go on with."""


def remember_run(folder: str | os.PathLike) -> None:
    """From here on an interrupted stage says that ``--resume`` goes on with this run, and not the same command.

    Args:
        folder: of the run.
    """
    _run[:] = [os.fspath(folder)]


def say_how_to_go_on() -> str:
    """The end of a sentence about an interruption: what to do to go on."""
    return f"go on with --resume {shlex.quote(_run[0])}" if _run else "run the same command to go on"


def introduce(main: collections.abc.Callable[[], None]) -> str:
    """The first line of a numbered script: its name, and what it does, by its docstring; "" for anything else."""
    known = getattr(main, "__globals__", {})
    script, text = pathlib.Path(known.get("__file__") or ""), (known.get("__doc__") or "").splitlines()
    return f"{script.name}: {text[0]}\n" if script.name[:3].isdecimal() and text else ""


def run_stage(main: collections.abc.Callable[[], None], uses_ranks: bool = False) -> None:
    """Runs a stage's ``main()``; expected errors end it with one readable line and exit status 1, Ctrl-C with 130.

    The first line of the console says which stage it is.

    Args:
        main: what the stage does.
        uses_ranks: whether it shares its work among the ranks of torchrun (``common/processes/ranks.py``). Of any other
            stage the first of them does all the work, and the others leave at once.
    """
    if not (uses_ranks or is_first_rank()):
        return
    repeat_lost_ctrl_c()
    _run.clear()
    if is_first_rank() and not {"-h", "--help"} & set(sys.argv):  # the help begins with the same words
        print(introduce(main), end="", flush=True)
    try:
        use_one_thread()
        try:
            main()
        finally:
            kill_workers()  # wherever the error arose, no worker holds up the end
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left that the impatient could stop
        sys.stderr.write(f"\nstopped by Ctrl-C; all workers have ended, {say_how_to_go_on()}\n")
        sys.exit(130)
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"\nerror: {describe_error(error)}\n")
        sys.exit(1)


def describe_error(error: Exception) -> str:
    """What is wrong and what to do about it, where the error itself says the first alone."""
    if isinstance(error, ArtifactError):
        return "; ".join([str(error), *_give_advice(error)])
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return (
            f"{error.filename or 'output'}: the disk is full; free some space, then {say_how_to_go_on()}: what is "
            "finished will be used"
        )
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"{error.filename}: {error.strerror}; see to the permissions there, or name another place (--help says how)"
        )
    return str(error)


def _give_advice(error: ArtifactError) -> list[str]:
    """Which stages to run; nothing where the error names no artifact."""
    if not error.artifacts:
        return []
    *scripts, last = (SCRIPTS.get(artifact, f"the stage that makes the {artifact}") for artifact in error.artifacts)
    again = "" if isinstance(error, MissingArtifactError) else " again"
    return [f"run {', '.join(scripts)}{' and ' if scripts else ''}{last}{again}{error.detail}"]
