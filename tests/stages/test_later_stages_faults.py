"""Stages 011 to 044 on disks that are full or read-only, and with garbage for what they read."""

import collections.abc
import json
import pathlib
import random
import re
import shutil
import typing

import pytest
import torch

from tests.commands import complete_here, find_script, run_here
from tests.helpers import ROOT
from tests.stability.systems import write_potential, write_reference
from tests.stages.generator_runs import SMALL as SMALL_GENERATOR
from tests.stages.generator_runs import make_database

SETTINGS = {
    "011": ("--molecule", "O", "--duration", 0.02, "--equilibration", 0, "--frame-interval", 1, "--n-workers", 1),
    "012": ("--n-channels", 8, "--n-interactions", 1, "--n-train", 10, "--n-validation", 5, "--max-epochs", 4),
    "013": (
        *("--time-step", 0.5, "--check-interval", 5, "--bond-tolerance", 0.6, "--epoch-duration", 0.02),
        *("--max-simulation-epochs", 1, "--max-learning-epochs", 1, "--unstable-share-to-learn", 1, "--n-replicas", 8),
        *("--frames-per-epoch", 16, "--n-inner-steps", 2, "--n-blocks", 4),
    ),
    "014": (
        *("--n-replicas", 6, "--horizon", 0.1, "--time-step", 0.5, "--check-interval", 5, "--frame-interval", 20),
        *("--velocity-window", 8, "--bond-tolerance", 0.6),
    ),
    "031": (
        *("--preset", "hexagons", "--n-trajectories", 12, "--n-frames", 21, "--equilibration-time", 1.0),
        *("--interval", 0.1, "--step", 0.02),
    ),
    "032": (
        *("--epochs", 2, "--batches-per-epoch", 2, "--batch-size", 16, "--nn-width", 6, "--batch-length", 3),
        *("--eval-batch-length", 4, "--checkpoint-freq", 1),
    ),
    "033": (
        *("--rollout-length", 8, "--short-time", 4, "--long-length", 30, "--n-long", 2, "--n-chains", 4),
        *("--chain-length", 8, "--liquid-bodies", 8, "--liquid-frames", 2),
    ),
    "041": ("--max-heavy-atoms", 2, "--elements", 6, 8, "--n-workers", 1),
    "042": (*SMALL_GENERATOR, "--n-epochs", 2),
    "043": (
        *("--grid-spacing", 0.2, "--temperature-term", 1, "--max-n-atoms", 8, "--n-workers", 1, "--n-molecules", 12),
    ),
    "044": ("--n-relaxed", 2, "--n-workers", 1, "--force-field", "example/starter.offxml"),
}
"""Next to no work for each stage."""


class Artifacts(typing.NamedTuple):
    """What the stages read, of next to no work."""

    folder: pathlib.Path

    def list_options(self, stage: str) -> tuple[object, ...]:
        """What a stage reads from here."""
        folder = self.folder
        return {
            "012": ("--reference", folder / "ethanol"),
            "013": ("--reference", folder / "ethanol", "--potential", folder / "potential.pt"),
            "014": (folder / "potential.pt", "--reference", folder / "ethanol"),
            "032": ("--folder", folder / "bodies"),
            "033": ("--runs", *sorted((folder / "coarse-graining").glob("*"))),
            "042": ("--input", folder / "molecules.db"),
            "043": ("--run", *(folder / "generators").glob("*")),
            "044": ("--input", folder / "generated.db", "--run", *(folder / "generators").glob("*")),
        }.get(stage, ())


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Artifacts:
    """One of each artifact that a later stage reads."""
    artifacts = Artifacts(tmp_path_factory.mktemp("made"))
    folder = artifacts.folder
    write_potential(folder, write_reference(folder))
    make_database(folder / "molecules.db")
    for stage, name in (("031", "bodies"), ("032", "coarse-graining"), ("042", "generators"), ("043", "generated.db")):
        run_here(find_script(stage).name, *artifacts.list_options(stage), *SETTINGS[stage], "--output", folder / name)
    return artifacts


def list_words(stage: str, artifacts: Artifacts, output: pathlib.Path) -> list[object]:
    """The command line of a stage; 043 names the file that it writes."""
    target = output / "generated.db" if stage == "043" else output / "artifact"
    return [*artifacts.list_options(stage), *SETTINGS[stage], "--output", target]


def refuse(stage: str, words: collections.abc.Sequence[object]) -> str:
    """The one line with which a stage ends that cannot do what it should."""
    done = complete_here(find_script(stage), *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def check_whole(folder: pathlib.Path) -> None:
    """Whatever stands under a final name can be read."""
    for path in folder.rglob("*"):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".pt":
            torch.load(path, weights_only=True)


# --- where they write ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", sorted(SETTINGS))
def test_a_full_disk_is_named_and_what_is_there_is_whole(stage, made, small_disk, monkeypatch):
    monkeypatch.chdir(ROOT)
    (small_disk / "filler").write_bytes(bytes(60 * 1024))
    error = refuse(stage, list_words(stage, made, small_disk))
    assert str(small_disk) in error
    assert "the disk is full; free some space" in error
    check_whole(small_disk)


@pytest.mark.parametrize("stage", sorted(SETTINGS))
def test_a_read_only_output_is_named(stage, made, read_only, monkeypatch):
    monkeypatch.chdir(ROOT)
    error = refuse(stage, list_words(stage, made, read_only))
    assert str(read_only) in error
    assert re.search("(Read-only file system|Permission denied); see to the permissions there, or name another", error)


# --- what they read --------------------------------------------------------------------------------------------------

READ = (
    ("012", "ethanol/data-00000-of-00001.arrow"),
    ("013", "potential.pt"),
    ("014", "potential.pt"),
    ("014", "ethanol/provenance.json"),
    ("032", "bodies/system.json"),
    ("032", "bodies/train/trajectories.pt"),
    ("033", "coarse-graining/*/potential.pt"),
    ("042", "molecules.db"),
    ("043", "generators/*/generator.pt"),
    ("044", "generated.db"),
    ("044", "generators/*/splits.json"),
)


@pytest.mark.parametrize("damage", ["noise", "cut", "empty"])
@pytest.mark.parametrize(("stage", "pattern"), READ)
def test_garbage_is_named(stage, pattern, damage, made, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    copy = Artifacts(tmp_path / "copy")
    shutil.copytree(made.folder, copy.folder)
    [path] = copy.folder.glob(pattern)
    contents = path.read_bytes()
    path.write_bytes(
        {"noise": random.Random(stage).randbytes(4000), "cut": contents[: len(contents) // 2]}.get(damage, b"")
    )
    error = refuse(stage, list_words(stage, copy, tmp_path))
    assert str(path) in error or str(path.parent) in error
    check_whole(tmp_path / "artifact")
