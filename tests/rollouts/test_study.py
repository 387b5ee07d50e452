"""A whole study: all sections, the figures, the report that holds the numbers of metrics.json."""

import dataclasses
import json

import pytest

from common.rollouts.report import list_headlines
from common.rollouts.study import Study, StudySettings
from tests.coarse_graining.samples import make_trajectories
from tests.rollouts.samples import make_learned_candidate, make_wrong

SETTINGS = StudySettings(
    step=0.25, rollout_length=10.0, short_time=5.0, long_length=60.0, n_long=2, n_chains=6, chain_length=20.0,
    chain_step=0.5, friction=0.1, liquid_bodies=8, liquid_frames=4, liquid_box=6.0, seed=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def study() -> Study:
    found = Study(SETTINGS, [make_learned_candidate(), make_wrong()], make_trajectories())
    found.run()
    return found


def test_every_section_has_its_figure(study):
    assert set(study.pictures) == {"cuts", "parity", "horizons", "strip", "distributions", "structure", "costs"}


def test_the_report_holds_what_was_found(study, tmp_path):
    folder = study.write(tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    page = (folder / "report.html").read_text()
    for name, own in metrics["candidates"].items():
        assert name in page
        assert f"{own['parity']['force_relative']:.3f}"[:4] in page
    for word in ("Cuts", "Rollouts", "Distributions", "liquid", "When coarse-graining pays", "trajectory matching"):
        assert word in page
    assert sorted(path.stem for path in (folder / "figures").iterdir()) == sorted(study.pictures)


def test_the_headlines_name_every_candidate(study):
    lines = list_headlines(study.metrics)
    for name in ("learned", "wrong"):
        assert any(line.startswith(f"{name}: U within") for line in lines)
    assert any(line.startswith("learned: costs") for line in lines)  # of a sum over sites nothing is to be said


def test_parts_may_be_left_out():
    few = dataclasses.replace(SETTINGS, n_chains=0, liquid_frames=0)
    found = Study(few, [make_wrong()], make_trajectories())
    found.study_distributions()
    found.study_liquid()
    assert found.pictures == {}
