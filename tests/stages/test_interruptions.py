"""Stages killed at random moments, and stopped by Ctrl-C: nothing is lost, nothing half done is left.

Each stage is killed with all its workers (SIGKILL to the process group), several times, then runs to the end; what it
leaves must be what an undisturbed run leaves. Moments are drawn with a seed, as fractions of the time that the
undisturbed run took on this machine.
"""

import collections.abc
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import typing

import pytest
import torch

from benchmarks.make_archive import make_archive
from tests.commands import ARTIFACTS, make_command
from tests.helpers import make_entries, write_dataset

N_CONFS = 2500  # enough for two shards of the largest source in stage 001, so that there are workers
N_EPOCHS = 1500
N_WORKERS = 2
STAGES = ("001", "002", "003", "004", "005")
N_KILLS = int(os.environ.get("N_KILLS", "4"))  # of each stage; 10 take five minutes more
N_KILLS_IN_TRAINING = 2  # besides
EARLIEST = 0.3
"""Of the time that a stage takes: before, Python and its libraries are loading, and there is nothing to disturb."""

N_WORKING = 2
"""Children of a stage at work: a worker, and the process by which multiprocessing keeps count of its resources. Of so
few conformers 005 evaluates all by itself; it is at work once there is a hidden folder."""

END_SECONDS = 20.0
"""After Ctrl-C a stage has ended in well under a second; on a machine that does other things it may take longer."""


def start(name: str, folder: pathlib.Path, *options) -> subprocess.Popen:
    """Starts a stage in a process group of its own."""
    command = [*make_command(name, folder, folder, N_WORKERS, N_EPOCHS), *map(str, options)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen) -> str:
    """Waits for a stage that has to succeed; gives what it printed."""
    console, errors = process.communicate()
    assert process.returncode == 0, console + errors
    return console


def kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def kill_repeatedly(name: str, folder: pathlib.Path, seconds: float) -> collections.abc.Iterator[None]:
    """Starts a stage, which takes so long, and kills it, again and again; what is left may be looked at in between."""
    moments = random.Random(name)
    for _ in range(N_KILLS):
        process = start(name, folder)
        time.sleep(seconds * moments.uniform(EARLIEST, 1.0))
        kill(process)
        yield


# --- the undisturbed run ---------------------------------------------------------------------------------------------


class Finished(typing.NamedTuple):
    """What the stages leave when nothing disturbs them, and the seconds that each takes."""

    folder: pathlib.Path
    seconds: dict[str, float]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    folder = tmp_path_factory.mktemp("undisturbed")
    make_archive(N_CONFS, folder / "8150601", seed=0, n_workers=1)
    seconds = {}
    for name in STAGES:
        begin = time.monotonic()
        finish(start(name, folder))
        seconds[name] = time.monotonic() - begin
    return Finished(folder, seconds)


@pytest.fixture
def prepare(finished, tmp_path) -> collections.abc.Callable[[str], pathlib.Path]:
    """Makes a folder with everything that a stage reads."""

    def copy_inputs(name: str) -> pathlib.Path:
        wanted = {"001": "8150601", "002": "data-raw", "003": "data-raw"}.get(name, "data-clustered")
        shutil.copytree(finished.folder / wanted, tmp_path / wanted)
        if name in ("003", "004", "005"):
            shutil.copy(finished.folder / "starter.pt", tmp_path)
        return tmp_path

    return copy_inputs


def read_folder(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read_parameters(path: pathlib.Path) -> dict:
    """What a ``.pt`` file holds, in values that can be compared, but for the time at which it was made."""
    plain = torch.load(path, weights_only=True)
    del plain["provenance"]["created"]

    def convert(value):
        if isinstance(value, dict):
            return {name: convert(item) for name, item in value.items()}
        if isinstance(value, list):
            return [convert(item) for item in value]
        return value.tolist() if isinstance(value, torch.Tensor) else value

    return convert(plain)


def read_artifact(path: pathlib.Path) -> typing.Any:
    if path.is_dir():
        return read_folder(path)
    return path.read_bytes() if path.read_bytes() == b"earlier" else read_parameters(path)


def list_visible(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def list_hidden(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.glob(".*")}


# --- killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["001", "002", "003"])
def test_a_stage_killed_again_and_again(name, finished, prepare, parity_energies):
    folder = prepare(name)
    artifact = folder / ARTIFACTS[name]
    if name == "002":
        artifact.write_bytes(b"earlier")
    else:
        write_dataset(artifact / "earlier", make_entries(parity_energies[:1], 2))
    allowed = [read_artifact(artifact), read_artifact(finished.folder / ARTIFACTS[name])]
    visible = list_visible(folder)
    for _ in kill_repeatedly(name, folder, finished.seconds[name]):
        assert read_artifact(artifact) in allowed
        assert list_visible(folder) == visible
    finish(start(name, folder))
    assert read_artifact(artifact) == allowed[1]
    assert list_visible(folder) == visible
    assert {path.name for path in folder.iterdir()} == visible


def assert_nothing_incomplete(folder: pathlib.Path) -> None:
    """Whatever stands under a final name after stage 004 was killed can be used."""
    for path in folder.glob("statistics/*.sha256"):
        assert hashlib.sha256(hashlib.sha256(path.with_suffix(".pt").read_bytes()).digest()).hexdigest() == (
            path.read_text().strip()
        )
    for path in [*folder.glob("runs/**/*.pt"), *folder.glob("statistics/**/*.pt")]:
        if not path.name.startswith("."):
            torch.load(path, weights_only=True)
    for path in folder.glob("runs/*/summary.json"):
        assert {"force-field.pt", "force-field.offxml", "parameters.csv"} <= list_visible(path.parent)


def read_fitted(run: pathlib.Path) -> list[torch.Tensor]:
    plain = torch.load(run / "force-field.pt", weights_only=True)
    return [potential["parameters"] for potential in plain["force_field"]["potentials"]]


def find_run(folder: pathlib.Path) -> pathlib.Path:
    """The run that was started last."""
    return sorted(path for path in (folder / "runs").iterdir() if path.name != "earlier")[-1]


def assert_same_fit(folder: pathlib.Path, finished: Finished) -> None:
    for found, expected in zip(read_fitted(find_run(folder)), read_fitted(find_run(finished.folder)), strict=True):
        assert torch.equal(found, expected)


def test_the_pass_of_004_killed_again_and_again(finished, prepare):
    folder = prepare("004")
    (folder / "runs" / "earlier").mkdir(parents=True)
    (folder / "runs" / "earlier" / "summary.json").write_text("{}")
    shutil.copy(find_run(finished.folder) / "force-field.pt", folder / "runs" / "earlier")
    for name in ("force-field.offxml", "parameters.csv"):
        (folder / "runs" / "earlier" / name).touch()
    earlier = read_folder(folder / "runs" / "earlier")
    for _ in kill_repeatedly("004", folder, finished.seconds["004"]):
        assert_nothing_incomplete(folder)
        assert read_folder(folder / "runs" / "earlier") == earlier
    finish(start("004", folder))
    assert_same_fit(folder, finished)
    assert_nothing_incomplete(folder)


def test_training_goes_on_from_its_last_checkpoint(finished, prepare):
    """Killed on its way, it comes to the same values as in one go, to the last bit."""
    folder = prepare("004")
    shutil.copytree(finished.folder / "statistics", folder / "statistics")
    moments = random.Random("training")
    # epochs take microseconds: to save after every other makes them last long enough to be disturbed
    slowly = ("--checkpoint-interval", 2)
    process = start("004", folder, *slowly)
    checkpoint = wait_for(lambda: next(folder.glob("runs/*/checkpoints/last.pt"), None), process)
    for _ in range(N_KILLS_IN_TRAINING):
        first = torch.load(checkpoint, weights_only=True)["epoch"]
        time.sleep(moments.uniform(0.0, 0.4))
        kill(process)
        assert_nothing_incomplete(folder)
        assert torch.load(checkpoint, weights_only=True)["epoch"] >= first
        process = start("004", folder, *slowly, "--resume", find_run(folder))
        wait_for(lambda: torch.load(checkpoint, weights_only=True)["epoch"] > first or None, process)  # noqa: B023
    console = finish(process)
    assert "going on after epoch" in console
    assert "statistics: reused" in console
    assert len(list_visible(folder / "runs")) == 1
    assert_same_fit(folder, finished)


def read_analyses(folder: pathlib.Path) -> list[dict[str, typing.Any]]:
    """The tables, the pictures and the figures of all analyses there; what names the files read is left out."""
    analyses = []
    for name in sorted(list_visible(folder / "analysis") - {"earlier"}):
        analysis = folder / "analysis" / name
        assert (analysis / "report.html").read_text().rstrip().endswith("</html>")
        groups = json.loads((analysis / "metrics.json").read_text())["groups"]
        analyses.append({**read_folder(analysis / "tables"), **read_folder(analysis / "figures"), "groups": groups})
    return analyses


def test_the_analysis_killed_again_and_again(finished, prepare):
    folder = prepare("005")
    [expected] = read_analyses(finished.folder)
    (folder / "analysis" / "earlier").mkdir(parents=True)
    (folder / "analysis" / "earlier" / "report.html").write_text("earlier")
    for _ in kill_repeatedly("005", folder, finished.seconds["005"]):
        assert all(found == expected for found in read_analyses(folder))
    finish(start("005", folder))
    assert read_analyses(folder)[-1] == expected
    assert not list_hidden(folder / "analysis")
    assert read_folder(folder / "analysis" / "earlier") == {"report.html": b"earlier"}


def wait_for(find: collections.abc.Callable[[], typing.Any], process: subprocess.Popen) -> typing.Any:
    """What ``find`` gives once that is not None, while the stage runs."""
    while (found := find()) is None:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return found


# --- stopped ---------------------------------------------------------------------------------------------------------


def count_children(pid: int) -> int:
    return len(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def list_running(group: int) -> list[str]:
    """The processes of a group, but for those that have ended and nobody has asked for."""
    running = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = path.read_text().rpartition(")")
            if rest.split()[0] != "Z" and int(rest.split()[2]) == group:
                running.append(name)
    return running


@pytest.mark.skipif(not pathlib.Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("name", STAGES)
def test_ctrl_c_stops_a_stage_and_all_its_workers_at_once(name, prepare):
    """As a terminal sends it: to all processes at the same time."""
    folder = prepare(name)
    process = start(name, folder)
    wait_for(lambda: count_children(process.pid) >= N_WORKING or list_hidden(folder / "analysis") or None, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 130
    assert "stopped by Ctrl-C; all workers have ended" in errors
    assert "Traceback" not in errors
    deadline = time.monotonic() + END_SECONDS
    while running := list_running(process.pid):
        assert time.monotonic() < deadline, running
        time.sleep(0.02)
    artifact = folder / ARTIFACTS[name]
    assert not artifact.exists() or (name == "005" and not any(artifact.iterdir()))
