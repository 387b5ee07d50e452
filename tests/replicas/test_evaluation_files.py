"""Files of an evaluation: the stated names and shapes, and numbers that agree with each other."""

import json

import ase.io
import numpy
import pytest

from common.replicas.evaluation_files import arrange, write_findings


@pytest.fixture(scope="module")
def folder(tmp_path_factory, made_up_reference, findings):
    folder = tmp_path_factory.mktemp("evaluation")
    write_findings(folder, findings, made_up_reference.system, 0.01, 2)
    return folder


def test_arrays_have_their_shapes(folder):
    shapes = {path.stem: numpy.load(path).shape for path in folder.glob("*.npy")}
    n_times = shapes.pop("full_traj")[0]
    assert n_times == 6
    assert shapes == {
        "replicas_stable_time": (6,),
        "replicas_failed": (6,),
        "final_rdfs": (6, 500),
        "final_rdf_maes": (6,),
        "gt_rdf": (500,),
        "final_adfs": (6, 181),
        "final_adf_maes": (6,),
        "gt_adf": (181,),
        "final_vacfs": (6, 4),
        "final_vacf_maes": (6,),
        "gt_vacf": (4,),
        "all_msds": (6, 2),
        "all_diffusivities": (6,),
        "gt_msd": (2,),
        "gt_diffusivity": (2,),
    }


def test_metrics_have_upstreams_keys_and_agree_with_the_arrays(folder, findings):
    metrics = json.loads((folder / "final_metrics.json").read_text())
    for key in ("Energy MAE", "Force MAE", "Mean Stability (ps)", "Std Dev Stability (ps)"):
        assert metrics[key] > 0.0
    for name in ("RDF", "ADF", "VACF"):
        errors = numpy.load(folder / f"final_{name.lower()}_maes.npy")
        known = errors[numpy.isfinite(errors)]  # no replica may have lived through the window of velocities
        assert metrics[f"Mean {name} MAE"] == (pytest.approx(known.mean()) if len(known) else None)
        assert f"Std Dev {name} MAE" in metrics
    times = numpy.load(folder / "replicas_stable_time.npy")
    assert metrics["Mean Stability (ps)"] == pytest.approx(times.mean())
    assert metrics["Mean Time To Failure (ps)"] == pytest.approx(times.sum() / findings.evaluation.has_failed.sum())
    assert "Diffusivity MAE (1e-9 m2/s)" in metrics


def test_after_a_failure_there_is_nothing(findings):
    trajectory = arrange(findings.evaluation, 6)
    for replica in numpy.nonzero(findings.evaluation.has_failed)[0]:
        alive = numpy.isfinite(trajectory[:, replica]).all((1, 2))
        assert not alive[-1]
        assert (numpy.diff(alive.astype(int)) <= 0).all()


def test_trajectories_are_those_that_failed_first(folder, findings):
    paths = sorted((folder / "trajectories").glob("*.xyz"))
    assert len(paths) == 2
    first = int(numpy.where(findings.evaluation.has_failed, findings.evaluation.times, numpy.inf).argmin())
    frames = ase.io.read(folder / "trajectories" / f"replica-{first:03d}.xyz", ":")
    assert frames[-1].info["time_ps"] == pytest.approx(findings.evaluation.times[first])
    numpy.testing.assert_allclose(frames[-1].positions, findings.evaluation.last[first].numpy(), atol=1e-6)
