"""The settings of all stages: every field is an option, is recorded, and a wrong one ends the stage at once."""

import dataclasses
import json
import re
import subprocess
import sys
import typing

import pytest
import tyro

from common.processes.stage import run_stage
from common.runs.options import read_preset, read_settings
from common.runs.settings import check_settings, to_plain
from tests.commands import called_with, find_script, load_settings, load_stage
from tests.helpers import ROOT

STAGES = sorted(path.name for path in ROOT.glob("[0-9][0-9][0-9]-*.py"))


@pytest.mark.parametrize("script", STAGES)
def test_every_field_is_an_option_and_the_defaults_are_allowed(script, capsys):
    settings = load_settings(script)
    assert check_settings(settings()) == settings()
    assert json.loads(json.dumps(to_plain(settings()))) == to_plain(settings())
    with pytest.raises(SystemExit) as end:
        read_settings(settings, ["--help"])
    assert not end.value.code
    told = capsys.readouterr().out
    hints = typing.get_type_hints(settings, include_extras=True)
    for field in dataclasses.fields(settings):
        if tyro.conf.Positional in getattr(hints[field.name], "__metadata__", ()):
            assert "positional arguments" in told, field.name
        else:
            option = field.name.rstrip("_").replace("_", "-")  # a keyword of Python has a line at its end
            assert re.search(rf"--{option}\b", told), field.name


def test_help_starts_with_what_the_stage_is_for():
    result = subprocess.run(
        [sys.executable, str(ROOT / "004-train.py"), "--help"], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.startswith(load_stage(ROOT / "004-train.py").__doc__)
    assert "--learning-rate" in result.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*/*.toml")), ids=lambda path: path.stem)
def test_presets_are_of_a_stage_and_allowed(path):
    assert path.parent.name + ".py" in STAGES
    preset = read_preset(load_settings(path.parent.name + ".py"), path.stem)
    assert preset.preset == path.stem


WRONG = [
    ("001-convert", ["--sources", "gen3"], "gen3"),
    ("001-convert", ["--max-force", "0"], "max_force = 0.0: must be greater than 0"),
    ("001-convert", ["--n-workers", "0"], "n_workers = 0: must be greater than or equal to 1"),
    ("001-convert", ["--max-failed-fraction", "1.5"], "max_failed_fraction = 1.5: must be less than or equal to 1"),
    ("001-import", [], "name at least one file"),
    ("001-import", ["a.xyz", "--name", "a/b"], "name = 'a/b': letters, digits and . + - only"),
    ("001-import", ["a.xyz", "--energy-unit", "cal"], "'cal': no unit of energy that is known"),
    ("001-import", ["a.xyz", "--doubts", "ignore"], "invalid choice 'ignore'"),
    ("002", ["--engine", "amber"], "invalid choice 'amber'"),
    ("002", ["--input", "here", "--smiles", "there"], "leave one of them out"),
    ("003", ["--rmsd-threshold", "-0.1"], "rmsd_threshold = -0.1: must be greater than 0"),
    (
        "004",
        ["--method", "exakt"],
        "invalid choice 'exakt' for argument '--method'. Expected one of ('adam', 'lbfgs', 'exact')",
    ),
    ("004", ["--prior-strength", "-1"], "prior_strength = -1.0: must be greater than or equal to 0"),
    ("004", ["--method", "exact", "--n-folds", "1"], "prior_strength = 'cross-validation' needs folds: raise n_folds"),
    ("004", ["--prior-strength", "nan"], "prior_strength = nan: must be a finite number"),
    ("004", ["--trained.Bonds.k.prior", "-1"], "prior must be greater than 0"),
    ("004", ["--trained.Bonds.k.prior", "0"], "prior must be greater than 0"),
    ("004", ["--trained.Bonds.length.upper", "-1"], "lower must be less than upper"),
    ("004", ["--trained.Angles.k.scale", "0"], "scale must be greater than 0"),
    ("004", ["--boltzmann-temperature", "-300"], "boltzmann_temperature = -300.0: must be greater than 0"),
    ("004", ["--energy-ceiling", "-1"], "energy_ceiling = -1.0: must be greater than 0"),
    ("004", ["--n-epochs", "0"], "n_epochs = 0: must be greater than or equal to 1"),
    ("004", ["--learning-rate", "1e9"], "learning_rate = 1000000000.0: must be less than or equal to 1"),
    ("004", ["--force-weight", "-1"], "force_weight = -1.0: must be greater than or equal to 0"),
    (
        "004",
        ["--source-weights", "gen2-opt", "-1"],
        "source_weights.gen2-opt = -1.0: must be greater than or equal to 0",
    ),
    ("004", ["--checkpoint-interval", "0"], "checkpoint_interval = 0: must be greater than or equal to 1"),
    ("004", ["--device", "gpu"], "device = 'gpu': no such device; there are cpu"),
    ("004", ["--n-processes", "0"], "n_processes = 0: must be greater than or equal to 1"),
    ("004", ["--validation-fraction", "0.5", "--test-fraction", "0.5"], "their sum less than 1"),
    ("004", ["--validation-fraction", "0", "--prior-strength", "validation"], "raise validation_fraction"),
    ("004", ["--include", "Bond", "[*:1]"], "type 'Bond' cannot be trained; did you mean 'Bonds'?"),
    ("004", ["--preset", "quick"], "there are exact"),
    ("005", ["--n-workers", "0"], "n_workers = 0: must be greater than or equal to 1"),
    ("011", ["--molecule", "CCO", "--time-step", "0"], "time_step = 0.0: must be greater than 0"),
    ("011", ["--molecule", "CCO", "--name", "a/b"], "letters, digits and . + - only"),
    ("012", ["--averaging", "1.5"], "averaging = 1.5: must be less than or equal to 1"),
    ("012", ["--energy-share", "0", "--force-share", "0"], "there is nothing to learn"),
    ("013", ["--observables", "rdf", "0", "adf", "0"], "observables: none has a weight"),
    ("013", ["--epoch-duration", "0.001"], "shorter than check_interval"),
    ("013", [], "no --potential is given"),
    ("014", ["--frame-interval", "7"], "frame_interval = 7 is no multiple of check_interval = 20"),
    ("014", [], "name at least one potential"),
    ("021", ["--smiles", "CCO", "--data", "here"], "both say which molecules; leave one of them out"),
    ("021", ["--time-limit", "0"], "time_limit = 0.0: must be greater than 0"),
    ("021", ["--new-share", "1.2"], "new_share = 1.2: must be less than or equal to 1"),
    ("021", ["--architecture", "gap"], "invalid choice 'gap'"),
    ("022", ["--energy-tolerance", "0"], "energy_tolerance = 0.0: must be greater than 0"),
    ("022", ["--huber-deltas", "2.3", "nan"], "nan: must be a finite number"),
    ("022", ["--selection", "variance"], "invalid choice 'variance'"),
    ("022", ["--energy-weight", "0", "--force-weight", "0"], "there is nothing to learn"),
    ("022", ["--device", "gpu"], "device = 'gpu': no such device; there are cpu"),
    ("022", ["--executor", "redis"], "invalid choice 'redis'"),
    ("031", ["--n-trajectories", "2"], "n_trajectories = 2: too few, with 1 for validation and 1 for test"),
    ("031", ["--system", "lammps-files"], "needs --input"),
    ("031", ["--engine", "lammps"], "engine = 'lammps' is for system = 'hexagons'"),
    ("031", ["--box", "20", "--cutoff", "11"], "cutoff = 11: more than half the box, 10"),
    ("031", ["--n-bodies", "1"], "n_bodies = 1: bodies that interact are two at least"),
    ("032", ["--folder", "nowhere"], "nowhere"),
    ("032", ["--learning-rate", "nan"], "learning_rate = nan: must be a finite number"),
    ("032", ["--inputs", "invariant"], "invalid choice 'invariant'"),
    ("033", ["--n-chains", "1"], "n_chains = 1: intervals need two chains at least"),
    ("033", ["--names", "one", "two"], "names: 2 for 1 runs"),
    ("033", ["--step", "0"], "step = 0.0: must be greater than 0"),
]


def run_wrong(path, options, folder, monkeypatch, capsys) -> str:
    """What a stage says that is run in an empty folder and must end at once, without leaving anything there."""
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as caught, called_with(path, *options) as stage:
        run_stage(stage.main)
    assert caught.value.code == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert not list(folder.iterdir())
    return line


@pytest.mark.parametrize(("stage", "options", "message"), WRONG)
def test_a_wrong_setting_is_one_line_before_any_work(stage, options, message, tmp_path, monkeypatch, capsys):
    path = find_script(stage)
    assert message in run_wrong(path, options, tmp_path, monkeypatch, capsys)


def test_the_line_and_the_exit_code_of_the_command(tmp_path):
    command = [sys.executable, str(ROOT / "004-train.py"), "--method", "exakt"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


INTERVAL = "checkpoint_interval: Machine[AtLeastOne[int]] = "

WRONG_AT_THE_TOP = [
    ('] = "adam"  #', '] = "exakt"  #', "method = 'exakt': must be 'adam', 'lbfgs' or 'exact'"),
    ('"ProperTorsions": {', '"ProperTorsion": {', "cannot be trained; did you mean 'ProperTorsions'?"),
    ('"Bonds": {', '"Bond": {', "type 'Bond' cannot be trained; did you mean 'Bonds'?"),
    ('"ProperTorsions": {"k"', '"ProperTorsions": {"periodicity"', "column 'periodicity' of ProperTorsions cannot"),
    ('"ProperTorsions": {"k"', '"Electrostatics": {"charge"', "type 'Electrostatics' cannot be trained"),
    ("Column(prior=1.0)", "Column(prior=-1.0)", "prior must be greater than 0"),
    (f"{INTERVAL}100", f"{INTERVAL}0", "checkpoint_interval = 0"),
    ('device: Machine[str] = "cpu"', 'device: Machine[str] = "gpu"', "device = 'gpu': no such device"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG_AT_THE_TOP)
def test_a_wrong_value_at_the_top_of_the_script_is_as_good_as_a_wrong_option(
    tmp_path, monkeypatch, capsys, old, new, message
):
    text = (ROOT / "004-train.py").read_text()
    assert text.count(old) == 1
    path = tmp_path / "004-train.py"
    path.write_text(text.replace(old, new))
    (tmp_path / "empty").mkdir()
    assert message in run_wrong(path, [], tmp_path / "empty", monkeypatch, capsys)
