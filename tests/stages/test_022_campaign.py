"""Stages 021 to 023 as a user runs them: killed, stopped, resumed, and refused where something is wrong."""

import collections
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import ase.db
import numpy
import pytest
import torch

from common.active_learning.journal import read_records
from common.calculators.ledger import Ledger
from common.data.dataset import open_dataset, read_entries
from common.files.locks import hold_lock
from common.forcefields.energy import compute_forces
from common.forcefields.parameter_file import load_parameters
from common.processes.stage import describe_error
from tests.active_learning.spaces import write_space
from tests.commands import find_script, run_here
from tests.helpers import ROOT
from tests.processes_left import list_processes, wait_until_gone
from tests.tasks.made_up import SMILES, draw_labels

N_INITIAL, BUDGET = 12, 40
SLOW = "function:tests.tasks.made_up:slow_springs"
QUICK = (
    *("--num-to-run", BUDGET, "--n-initial", N_INITIAL, "--n-starts", 6, "--ensemble-size", 2, "--retrain-freq", 10),
    *("--labels-ahead", 5, "--batch-size", 6, "--max-steps", 5, "--final-max-steps", 5, "--learning-rate", 0.02),
    *("--min-run-length", 10, "--max-run-length", 40, "--energy-tolerance", 2, "--infer-chunk-size", 10),
    *("--frame-interval", 2, "--max-pool", 60, "--num-qc-workers", 2, "--num-learning-workers", 1, "--seed", 3),
)
EXECUTOR = ("--executor", "parsl", "--parsl-config", ROOT / "configs/parsl/local.py") if "PARSL" in os.environ else ()
"""``PARSL=1 pytest tests/stages/test_022_campaign.py -k "moments or worker"`` kills and stops campaigns by Parsl."""

GONE_SECONDS = 60.0
"""After which no process of a campaign that was killed is left."""


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return write_space(tmp_path_factory.mktemp("space"), SLOW)


def make_command(script, *options):
    return [str(word) for word in (sys.executable, ROOT / script, *options)]


def start(folder, *options, mark=""):
    """Starts a campaign in a session of its own, as a terminal would."""
    environment = {**os.environ, "MARK": mark, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        make_command("022-run-campaign.py", *options), cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def begin(folder, space, *options, mark=""):
    executor = () if "--executor" in options else EXECUTOR
    return start(
        folder, "--search-space", space, *QUICK, *executor, *options, "--output", folder / "campaigns", mark=mark
    )


def find_campaign(folder) -> pathlib.Path:
    (campaign,) = (folder / "campaigns").iterdir()
    return campaign


def wait_for(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)
    return found


def count_calculations(folder) -> int:
    return len(list((folder / "campaigns").glob("*/calculations/*.json")))


def check_whole(campaign: pathlib.Path, budget: int = BUDGET, n_lost: int = 0) -> None:
    """The budget is exact, each calculation is there once, in the journal as in the data."""
    keys = Ledger(campaign / "calculations").keys()
    events = [r for r in read_records(campaign / "journal.jsonl") if r.get("event") == "StructureComputed"]
    assert len(keys) == budget - N_INITIAL - n_lost
    assert collections.Counter(event["key"] for event in events) == dict.fromkeys(keys, 1)
    with ase.db.connect(campaign / "train.db") as database:
        rows = list(database.select())
    assert len(rows) == budget - n_lost
    assert len({row.positions.tobytes() for row in rows}) == len(rows)
    summary = json.loads((campaign / "summary.json").read_text())
    assert summary["n_paid"] == budget
    assert summary["n_labels"] == budget - n_lost


# --- killed, and stopped ---------------------------------------------------------------------------------------------


def list_calculations(campaign: pathlib.Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (campaign / "calculations").glob("*.json")}


def test_killed_at_random_moments_stopped_at_once_and_resumed(space, tmp_path):
    """No finished calculation is computed twice, and none is lost, however often the campaign is killed (-9).

    Once here, to save time; ``KILLS=20 pytest tests/stages/test_022_campaign.py -k random_moments`` tries as many.
    """
    n_wanted = int(os.environ.get("KILLS", "1"))
    moments = random.Random(n_wanted)
    mark = f"campaign-{os.getpid()}"
    n_killed, known = 0, {}
    process = begin(tmp_path, space, mark=mark)
    while n_killed < n_wanted:
        wait_for(lambda: (tmp_path / "campaigns").is_dir() and list((tmp_path / "campaigns").glob("*/journal.jsonl")))
        if n_killed % 2 == 0:  # half of them in the midst of the calculations, half whenever it is
            wait_for_more(tmp_path, len(known), process)
        time.sleep(moments.uniform(0.0, 1.0 if n_killed % 2 == 0 else 8.0))
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        n_killed += 1
        assert wait_until_gone(mark, GONE_SECONDS) == []
        found = list_calculations(find_campaign(tmp_path))
        assert {name: found[name] for name in known} == known
        known = found
        process = start(tmp_path, "--resume", find_campaign(tmp_path), mark=mark)
    assert n_killed >= min(n_wanted, 5)
    if process.poll() is None:
        wait_for_more(tmp_path, len(known), process)
        if n_killed == n_wanted:
            interrupt_twice(process, mark)
            process = start(tmp_path, "--resume", find_campaign(tmp_path), mark=mark)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    found = list_calculations(find_campaign(tmp_path))
    assert {name: found[name] for name in known} == known
    check_whole(find_campaign(tmp_path))
    assert list_processes(mark) == []


def wait_for_more(folder, n_known, process):
    """Until the campaign has done another calculation, or ended."""
    wait_for(lambda: count_calculations(folder) > n_known or process.poll() is not None)


def interrupt_twice(process, mark):
    """Ctrl-C twice ends a campaign at once, with all that it has started."""
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "all workers have ended, go on with --resume" in output
    assert wait_until_gone(mark, GONE_SECONDS) == []


def find_quantum_worker(mark):
    """A process that has started the calculator's process."""
    for pid in list_processes(mark):
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
            if "common.calculators.isolation" in command:
                return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return None


def count_under_way(folder) -> int:
    """Calculations that were asked for and have not ended."""
    kinds = collections.Counter(
        record.get("command") or record.get("event")
        for record in read_records(find_campaign(folder) / "journal.jsonl")
        if record.get("task", "").startswith("calculate-")
    )
    return kinds["Calculate"] - kinds["StructureComputed"] - kinds["TaskFailed"]


def list_lost(folder) -> list[str]:
    records = read_records(find_campaign(folder) / "journal.jsonl")
    return [record["task"] for record in records if record.get("event") == "TaskFailed"]


def test_a_quantum_worker_that_is_killed_costs_its_own_task_alone_and_ctrl_c_waits_and_trains(tmp_path):
    space = write_space(tmp_path / "space", "function:tests.tasks.made_up:costly_springs")
    mark = f"worker-{os.getpid()}"
    process = begin(tmp_path, space, "--audit-share", 1, mark=mark)  # audits are there at once: no worker waits
    wait_for(lambda: count_calculations(tmp_path) >= 2 and count_under_way(tmp_path) == 2)
    os.kill(wait_for(lambda: find_quantum_worker(mark)), signal.SIGKILL)
    wait_for(lambda: list_lost(tmp_path))
    n_before = count_calculations(tmp_path)
    wait_for(lambda: count_calculations(tmp_path) >= n_before + 2)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    assert "calculations under way are waited for" in output
    assert "stopped: stopped by the user" in output
    assert "Traceback" not in output
    campaign = find_campaign(tmp_path)
    (lost,) = list_lost(tmp_path)
    assert lost.startswith("calculate-")
    summary = json.loads((campaign / "summary.json").read_text())
    assert summary["n_lost"] == 1
    assert N_INITIAL + 5 <= summary["n_paid"] < BUDGET
    check_whole(campaign, summary["n_paid"], n_lost=1)
    assert (campaign / "final-model" / "potential.pt").is_file()
    assert list_processes(mark) == []


# --- a whole campaign, and what comes after --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    for options in (("--executor", "serial"), ("--executor", "serial", "--selection", "random")):
        process = begin(folder, space, *options)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
    return folder


def test_the_data_are_what_002_to_005_take(whole):
    for campaign in (whole / "campaigns").iterdir():
        (data,) = (campaign / "data-raw").glob("active-*")
        (entry,) = read_entries(open_dataset(data))
        assert entry.smiles == SMILES
        assert numpy.isfinite(entry.energy).all()
        assert json.loads((campaign / "data-raw" / "smiles.json").read_text()) == [SMILES]


def test_a_force_field_fitted_to_them_is_nearer_to_the_level_on_other_structures(whole, tmp_path):
    campaign = min((whole / "campaigns").iterdir())
    raw, clustered, parameters = campaign / "data-raw", tmp_path / "data-clustered", tmp_path / "starter.pt"
    for script, options in (
        ("002", ("--force-field", ROOT / "example/starter.offxml", "--input", raw, "--output", parameters)),
        ("003", ("--input", raw, "--parameters", parameters, "--output", clustered)),
        ("004", ("--data", clustered, "--parameters", parameters, "--output", tmp_path / "runs", "--method", "exact")),
    ):
        workers = ("--n-processes" if script == "004" else "--n-workers", 1)
        run_here(find_script(script).name, *options, *workers)
    (run,) = (tmp_path / "runs").iterdir()
    labels = draw_labels(50, 99, 0.05)
    errors = []
    for file in (parameters, run / "force-field.pt"):
        molecules = load_parameters(file, parameters)
        coords = torch.from_numpy(labels.coords.reshape(-1, 3, 3))
        forces = compute_forces(molecules.topologies[SMILES], molecules.force_field, coords)
        errors.append(float((forces.detach().numpy() - labels.forces.reshape(-1, 3, 3)).std()))
    assert errors[1] < 0.5 * errors[0]


def test_campaigns_are_compared(whole):
    campaigns = sorted((whole / "campaigns").iterdir())
    command = make_command("023-compare-campaigns.py", *campaigns, "--output", whole / "comparisons")
    result = subprocess.run(command, capture_output=True, text=True, cwd=whole, timeout=120)
    assert result.returncode == 0, result.stderr
    (folder,) = (whole / "comparisons").iterdir()
    assert {"report.html", "metrics.json", "errors.csv"} <= {path.name for path in folder.iterdir()}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["groups"]) == ["active", "random"]
    assert re.search(r"test wide +12 calls +22 calls +32 calls +40 calls", result.stdout)
    shown = metrics["errors"]["force"]["wide"]["active"]["40"]["mean"]
    assert f"{shown:.1f}" in result.stdout


def test_a_campaign_that_has_ended_says_so(whole, capsys):
    campaign = min((whole / "campaigns").iterdir())
    before = (campaign / "journal.jsonl").read_bytes()
    run_here("022-run-campaign.py", "--resume", campaign)
    assert "this campaign has ended; a larger budget may be given with --num-to-run" in capsys.readouterr().out
    assert (campaign / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("021", (), "no molecules: name some with --smiles"),
        ("021", ("--smiles", "C%C"), "RDKit cannot read this SMILES"),
        ("021", ("--smiles", "CCO", "--level", "gfn3"), "level 'gfn3' is not known; there are gfn2-xtb"),
        ("021", ("--smiles", "[He]", "--force-field", ROOT / "example/starter.offxml"), "has no parameters for"),
        ("022", ("--search-space", "nowhere"), "nowhere: no search space here; run 021-prepare-search-space.py"),
        ("022", ("--energy-tolerance", "0"), "energy_tolerance = "),
        ("022", ("--energy-tolerance", "-1"), "energy_tolerance = "),
        ("022", ("--min-run-length", 900), "min_run_length = 900 is above max_run_length = 800"),
        ("022", ("--ensemble-size", 1), "an ensemble of one never disagrees"),
        ("022", ("--num-to-run", 20), "num_to_run = 20 is spent by the initial set of n_initial = 20"),
        ("022", ("--executor", "parsl"), "--executor parsl and --parsl-config FILE.py belong together"),
        ("022", ("--resume", "nowhere"), "nowhere is no run folder"),
        ("023", (), "no campaign that has ended"),
        ("023", ("nowhere",), "nowhere is no run folder"),
    ],
)
def test_what_is_wrong_is_named_before_any_work(tmp_path, monkeypatch, script, options, message):
    assert message in refuse(script, options, tmp_path, monkeypatch)
    assert not list(tmp_path.iterdir())


def refuse(script, options, folder, monkeypatch) -> str:
    """What a stage says that refuses its options, as the frame of a stage prints it."""
    monkeypatch.chdir(folder)
    with pytest.raises((ValueError, OSError, RuntimeError)) as caught:
        run_here(find_script(script).name, *options)
    text = describe_error(caught.value)
    assert len(text.splitlines()) == 1
    return text


def test_wrong_for_this_search_space(space, whole, tmp_path, monkeypatch):
    """What is only seen when the files are read; nothing is written then."""
    (tmp_path / "empty.py").write_text("")
    campaign = min((whole / "campaigns").iterdir())
    for options, message in (
        (("--search-space", space, "--n-initial", 21), "has 20 labelled structures for an initial set of 21"),
        (
            ("--search-space", space, *QUICK, "--executor", "parsl", "--parsl-config", "empty.py"),
            "has no function config",
        ),
        (("--resume", campaign, "--ensemble-size", 3), "was made with --ensemble-size 2, and now 3 is asked for"),
        (("--resume", campaign, "--num-to-run", 39), "has --num-to-run 40; it may be given more, not 39"),
    ):
        assert message in refuse("022", options, tmp_path, monkeypatch)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.py"]


def test_other_physics_is_refused(whole, tmp_path, monkeypatch):
    """The search space was made anew with another level since the campaign began."""
    other = write_space(tmp_path / "space")
    campaign = min((whole / "campaigns").iterdir())
    text = refuse("022", ("--resume", campaign, "--search-space", other), tmp_path, monkeypatch)
    assert "was made with other contents of --search-space" in text


def test_another_version_of_the_level_is_refused(tmp_path, monkeypatch):
    space = write_space(tmp_path / "space")
    monkeypatch.setattr("common.calculators.registry._hash", lambda module: {"module": "other"})
    text = refuse("022", ("--search-space", space, *QUICK), tmp_path, monkeypatch)
    assert "its labels were computed by another version of function:tests.tasks.made_up:springs" in text


def test_one_process_at_a_time(whole, tmp_path, monkeypatch):
    campaign = min((whole / "campaigns").iterdir())
    with hold_lock(campaign / "lock"):
        text = refuse("022", ("--resume", campaign), tmp_path, monkeypatch)
    assert f"process {os.getpid()}" in text
