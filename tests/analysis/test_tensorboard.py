"""What TensorBoard shows of two runs, asked through its own server."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from common.analysis.tensorboard import format_errors, list_hyperparameters, log_results
from common.data.weighting import ConformerSelection
from common.fitting.outputs import describe_losses
from common.runs.curves import read_curves
from common.runs.tensorboard import Log
from tests.helpers import change_parameters, make_entries, write_dataset

SPLITS = ("train", "validation", "test")
LAST_EPOCH = 20
COLUMNS = {"Bonds": {"k": {"scale": 0.01, "lower": 0.0, "upper": None, "prior": 100.0}}}
PATIENCE = 60.0
"""[s] for the server to start and to read two runs."""


def make_losses(scale: float) -> dict:
    parts = {"loss": 3.0, "loss_energy": 1.0, "loss_forces": 2.0, "rmse_energy": 1.0, "rmse_forces": 1.4142}
    return {
        name: {split: {part: scale * factor * value for part, value in parts.items()} for split in SPLITS}
        for name, factor in (("initial", 2.0), ("fitted", 1.0))
    }


def log_curves(folder, losses: dict) -> None:
    """As the fit does: the losses of every split, before and after."""
    log = Log(folder)
    for epoch, name in ((0, "initial"), (LAST_EPOCH, "fitted")):
        log.add_scalars(epoch, describe_losses(losses[name]))
    log.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, parity_molecules, parity_energies):
    folder = tmp_path_factory.mktemp("tensorboard")
    entries = make_entries(parity_energies[:12], n_confs=3)
    write_dataset(folder / "data" / "one", entries)
    splits = {entry.smiles: SPLITS[i % 3] for i, entry in enumerate(entries)}
    fitted = change_parameters(parity_molecules.force_field, ("Bonds",), seed=0)
    candidates = {
        "initial": parity_molecules,
        "fitted": type(parity_molecules)(fitted, parity_molecules.topologies, {}, parity_molecules.provenance),
    }
    for name, rate in (("first", 0.01), ("second", 0.1)):
        settings = {
            "learning_rate": rate,
            "source_weights": {},
            "split_seed": 0,
            "trained": COLUMNS,
            "data": "data",
            "parameters": "starter.pt",
        }
        run, losses = folder / "runs" / name, make_losses(rate)
        log_curves(run, losses)
        log_results(run, settings, splits, losses, folder / "data", candidates, ConformerSelection(), LAST_EPOCH)
    return folder / "runs"


@pytest.fixture(scope="module")
def server(runs):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", runs, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/data/plugin"
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(address: str, body: dict | None = None, **query: str):
    """The answer of the server, as soon as it has something to say."""
    data = None if body is None else json.dumps(body).encode()
    address += f"?{urllib.parse.urlencode(query)}" if query else ""
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                contents = response.read()
                is_json = "json" in response.headers["Content-Type"]
            answer = json.loads(contents) if is_json else contents
            if answer:
                return answer
        assert time.monotonic() < deadline, f"{address}: no answer in {PATIENCE} s"
        time.sleep(0.3)


def test_scalars(server):
    assert set(ask(f"{server}/scalars/tags")) == {"first", "second"}
    points = ask(f"{server}/scalars/scalars", run="second", tag="loss/test")
    assert [(step, value) for _, step, value in points] == [(0, pytest.approx(0.6)), (LAST_EPOCH, pytest.approx(0.3))]


def test_hyperparameters_against_results(server):
    ask(f"{server}/scalars/tags")
    found = ask(f"{server}/hparams/experiment", {"experimentName": ""})
    names = {info["name"] for info in found["hparamInfos"]}
    assert names == {
        "learning_rate",
        "trained/Bonds",
        *(f"statistics/{name}" for name in ("split_seed", "data", "parameters")),
    }
    metrics = {info["name"]["tag"] for info in found["metricInfos"]}
    assert {"loss/test", "rmse_forces/validation"} <= metrics
    asked = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_UNKNOWN", "STATUS_RUNNING"],
        "colParams": [{"metric": {"tag": "loss/test", "group": ""}, "order": "ORDER_ASC"}],
        "startIndex": 0,
        "sliceSize": 10,
    }
    groups = ask(f"{server}/hparams/session_groups", asked)["sessionGroups"]
    results = {
        group["hparams"]["learning_rate"]: next(
            m["value"] for m in group["metricValues"] if m["name"]["tag"] == "loss/test"
        )
        for group in groups
    }
    assert results == {0.01: pytest.approx(0.03), 0.1: pytest.approx(0.3)}


def test_table_of_errors(server):
    ask(f"{server}/text/tags")
    [event] = ask(f"{server}/text/text", run="first", tag="errors/text_summary")
    assert "<table>" in event["text"]
    assert event["step"] == LAST_EPOCH


def test_parity_plots_before_and_after(server):
    for quantity in ("energy", "force"):
        tag = f"parity-{quantity}/test"
        steps = ask(f"{server}/images/images", run="first", tag=tag, sample="0")
        assert [step["step"] for step in steps] == [0, LAST_EPOCH]
        before, after = (ask(f"{server}/images/individualImage?{step['query']}") for step in steps)
        assert before.startswith(b"\x89PNG")
        assert before != after


def test_errors_are_a_table_in_markdown():
    lines = format_errors(make_losses(1.0)).splitlines()
    assert lines[2] == "| train | initial | 2.00 | 2.83 | 6.00 |"
    assert len(lines) == 2 + 6 + 2


def test_hyperparameters_are_one_value_for_each_setting_that_is_set():
    settings = {
        "method": "adam",
        "include": {"Bonds": ["[#6:1]"]},
        "exclude": {},
        "prior_centre": None,
        "data": "outputs/data",
        "parameters": "outputs/starter.pt",
        "trained": COLUMNS,
        "energy_ceiling": None,
        "keep_exercised": False,
    }
    assert list_hyperparameters(settings) == {
        "method": "adam",
        "include/Bonds": "['[#6:1]']",
        "statistics/keep_exercised": False,
        "statistics/data": "outputs/data",
        "statistics/parameters": "outputs/starter.pt",
        "trained/Bonds": "k ≥ 0, scale 0.01, prior 100",
    }


def test_curves_are_read_from_all_files_of_a_run(runs):
    curves = read_curves(runs / "first")
    assert curves["loss/test"].epochs.tolist() == [0, LAST_EPOCH]
