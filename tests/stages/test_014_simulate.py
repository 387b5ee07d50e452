"""Stage 014 as a user runs it: potentials side by side, the shapes of all that is written, what is refused."""

import dataclasses
import json

import numpy
import pytest

from common.data.trajectories import read_trajectories, write_trajectories
from tests.commands import find_run, run_here
from tests.helpers import raises_with_advice
from tests.stability.systems import write_potential, write_reference

SCRIPT = "014-simulate.py"
N_REPLICAS, HORIZON, INTERVAL, WINDOW = 6, 0.1, 0.01, 8
SMALL = (
    *("--n-replicas", N_REPLICAS, "--horizon", HORIZON, "--time-step", 0.5, "--check-interval", 5),
    *("--frame-interval", round(1000.0 * INTERVAL / 0.5), "--velocity-window", WINDOW, "--bond-tolerance", 0.6),
)
STABILIZE = (
    *("--time-step", 0.5, "--check-interval", 5, "--bond-tolerance", 0.6, "--epoch-duration", 0.02),
    *("--max-simulation-epochs", 1, "--max-learning-epochs", 1, "--unstable-share-to-learn", 1, "--n-replicas", 8),
    *("--frames-per-epoch", 16, "--n-inner-steps", 2, "--n-blocks", 4),
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def potential(tmp_path_factory, reference):
    return write_potential(tmp_path_factory.mktemp("potential"), reference)


@pytest.fixture(scope="module")
def run(tmp_path_factory, reference, potential):
    output = tmp_path_factory.mktemp("stable")
    run_here("013-stabilize.py", "--reference", reference, "--potential", potential, *STABILIZE, "--output", output)
    return find_run(output)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, reference, run):
    output = tmp_path_factory.mktemp("simulations")
    run_here(SCRIPT, f"{run}@cycle1", run, "pre", "--reference", reference, *SMALL, "--output", output)
    return find_run(output)


def test_three_potentials_are_three_columns(simulated):
    metrics = json.loads((simulated / "metrics.json").read_text())
    assert list(metrics) == ["stable-cycle1", "stable", "pre"]
    assert metrics["stable-cycle1"]["Total Time (ps)"] == metrics["stable"]["Total Time (ps)"]  # one potential, twice
    assert metrics["pre"]["Force MAE"] != metrics["stable"]["Force MAE"]
    page = (simulated / "report.html").read_text()
    assert all(f"<th>{name}</th>" in page or f">{name}<" in page for name in metrics)


def test_every_array_has_its_shape(simulated):
    for name in ("stable-cycle1", "stable", "pre"):
        folder = simulated / name
        shapes = {path.stem: numpy.load(path).shape for path in folder.glob("*.npy")}
        assert shapes == {
            "replicas_stable_time": (N_REPLICAS,),
            "replicas_failed": (N_REPLICAS,),
            "full_traj": (round(HORIZON / INTERVAL), N_REPLICAS, 9, 3),
            "final_rdfs": (N_REPLICAS, 500),
            "final_rdf_maes": (N_REPLICAS,),
            "gt_rdf": (500,),
            "final_adfs": (N_REPLICAS, 181),
            "final_adf_maes": (N_REPLICAS,),
            "gt_adf": (181,),
            "final_vacfs": (N_REPLICAS, WINDOW),
            "final_vacf_maes": (N_REPLICAS,),
            "gt_vacf": (WINDOW,),
        }
        metrics = json.loads((folder / "final_metrics.json").read_text())
        wanted = {"Energy MAE", "Force MAE", "Mean Stability (ps)", "Std Dev Stability (ps)", "Mean RDF MAE"}
        assert wanted | {"Std Dev RDF MAE", "Mean ADF MAE", "Mean VACF MAE"} <= metrics.keys()
        times = numpy.load(folder / "replicas_stable_time.npy")
        assert metrics["Mean Stability (ps)"] == pytest.approx(times.mean())
        assert metrics["Failures"] == numpy.load(folder / "replicas_failed.npy").sum()
        assert len(list((folder / "trajectories").glob("*.xyz"))) == 4


def test_a_folder_of_runs_is_its_latest(run, reference, simulated, tmp_path):
    run_here(SCRIPT, run.parent, "--reference", reference, *SMALL, "--output", tmp_path)
    one, other = (json.loads((find_run(path) / "metrics.json").read_text()) for path in (tmp_path, simulated.parent))
    del one["stable"]["Seconds"], other["stable"]["Seconds"]
    assert one["stable"] == other["stable"]


def rewrite(reference, folder, **changes):
    """The reference with something changed in every run."""
    trajectories = [dataclasses.replace(one, **changes) for one in read_trajectories(reference)]
    write_trajectories(folder / "changed", trajectories, {"stage": "test"})
    return folder / "changed"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"velocities": None}, "has no velocities.*--velocity-window 0"),
        ({"frame_interval": None}, "has frames in no order of time.*--velocity-window 0"),
        ({"frame_interval": 5.3}, "no multiple of --time-step"),
        ({"temperature": None}, "at which temperature.*--temperature"),
    ],
)
def test_what_a_reference_cannot_tell_is_said_before_any_work(reference, potential, tmp_path, changes, words):
    changed = rewrite(reference, tmp_path, **changes)
    with pytest.raises(ValueError, match=words):
        run_here(SCRIPT, potential, "--reference", changed, *SMALL, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--bond-tolerance", 0.01), "the reference itself fails"),
        (("--frame-interval", 7), "no multiple of check_interval"),
        (("--observables", "density"), "there is no observable 'density'"),
        (("--device", "abacus"), "no such device"),
    ],
)
def test_wrong_settings_end_it_before_any_work(reference, potential, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        run_here(SCRIPT, potential, "--reference", reference, *SMALL, *options, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named(reference, potential, tmp_path):
    with pytest.raises(ValueError, match="name at least one potential"):
        run_here(SCRIPT, "--reference", reference)
    with raises_with_advice(FileNotFoundError, "no reference here; run 011-sample-reference.py"):
        run_here(SCRIPT, potential, "--reference", tmp_path)
