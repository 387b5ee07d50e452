"""Search spaces: written whole, read back, and refused where something is missing."""

import json

import numpy
import pytest

from common.active_learning.search_space import (
    Start,
    choose_starts,
    fingerprint_search_space,
    make_molecule,
    read_search_space,
    write_search_space,
)
from common.files.artifacts import ArtifactError, MissingArtifactError
from common.tasks.labels import load_labels, make_labels
from tests.active_learning.spaces import write_space
from tests.tasks.made_up import COORDS, NUMBERS, SMILES, draw_labels


@pytest.fixture
def folder(tmp_path):
    return write_space(tmp_path / "space")


def test_it_comes_back(folder):
    space = read_search_space(folder)
    assert [molecule.smiles for molecule in space.molecules] == [SMILES]
    assert space.molecules[0].numbers.tolist() == NUMBERS.tolist()
    assert len(space.starts) == 10
    assert {start.region for start in space.starts} == {"known", "new"}
    assert space.starts[9].temperature == 400.0
    assert space.starts[0].velocities is None
    assert len(space.initial) == 20
    assert len(load_labels(space.tests["wide"])) == 10
    assert space.starting_model is not None


def test_velocities_come_back(tmp_path):
    velocities = numpy.random.default_rng(0).normal(size=(3, 3))
    starts = [Start(0, COORDS, velocities, 300.0, "known"), Start(0, COORDS, None, 300.0, "known")]
    write_search_space(
        tmp_path, [make_molecule(SMILES)], starts, draw_labels(3, 0), {"near": draw_labels(3, 1)}, "x", "y", {}
    )
    found = read_search_space(tmp_path).starts
    assert found[0].velocities.tobytes() == velocities.tobytes()
    assert found[1].velocities is None


def test_charges_are_those_of_the_smiles():
    ammonium = make_molecule("[N+:1]([H:2])([H:3])([H:4])[H:5]")
    assert (ammonium.charge, ammonium.numbers.tolist()) == (1, [7, 1, 1, 1, 1])


def test_what_is_missing_is_named(tmp_path, folder):
    with pytest.raises(MissingArtifactError, match="no search space here"):
        read_search_space(tmp_path)
    (folder / "initial.npz").unlink()
    with pytest.raises(ArtifactError, match=r"damaged search space .*initial\.npz"):
        read_search_space(folder)


def test_no_starts_or_tests(tmp_path):
    empty = make_labels([], [], [], [], [])
    start = [Start(0, COORDS, None, 300.0, "known")]
    molecules, labels = [make_molecule(SMILES)], draw_labels(3, 0)
    write_search_space(tmp_path / "a", molecules, [], labels, {"near": labels}, "x", "y", {})
    with pytest.raises(ArtifactError, match="has no starts"):
        read_search_space(tmp_path / "a")
    write_search_space(tmp_path / "b", molecules, start, labels, {}, "x", "y", {})
    with pytest.raises(ArtifactError, match=r"has no test set$"):
        read_search_space(tmp_path / "b")
    write_search_space(tmp_path / "c", molecules, start, labels, {"near": labels, "wide": empty}, "x", "y", {})
    with pytest.raises(ArtifactError, match="has no test set wide"):
        read_search_space(tmp_path / "c")


def test_another_format_is_refused(folder):
    notes = json.loads((folder / "space.json").read_text())
    (folder / "space.json").write_text(json.dumps({**notes, "format": 99}))
    with pytest.raises(ArtifactError, match="another format"):
        read_search_space(folder)


def test_the_contents_have_a_name(folder, tmp_path):
    other = write_space(tmp_path / "other")
    assert fingerprint_search_space(folder) == fingerprint_search_space(other)
    (other / "calculations").mkdir()
    assert fingerprint_search_space(folder) == fingerprint_search_space(other)
    (other / "starts.npz").write_bytes((folder / "initial.npz").read_bytes())
    assert fingerprint_search_space(folder) != fingerprint_search_space(other)


def test_starts_are_drawn_in_the_shares_of_the_regions(folder):
    space = read_search_space(folder)
    for n in (5, 10, 30):
        chosen = choose_starts(space, n, numpy.random.default_rng(n))
        regions = [space.starts[i].region for i in chosen]
        assert len(set(chosen)) == len(chosen) == min(n, 10)
        assert regions.count("new") == min(n, 10) // 5
    draws = [choose_starts(space, 5, numpy.random.default_rng(seed)) for seed in (1, 2, 1)]
    assert draws[0] == draws[2] != draws[1]
