"""Scans and minima are recognised by their geometries and forces; limits and order hold."""

import dataclasses

import numpy
import pytest

from common.data.dataset import Entry
from common.data.index import index_sources
from common.data.splits import assign_rows
from common.relaxation.entries import MAX_MINIMA, MINIMUM_FORCE, find_minima, find_tasks
from tests.helpers import write_dataset
from tests.relaxation.openmm_reference import MOLECULES, parameterize_molecules, turn

BUTANE, DIHEDRAL = MOLECULES["butane"]


def make_entry(n_confs: int, forces: numpy.ndarray, width: float = 0.3) -> Entry:
    random = numpy.random.default_rng(0)
    coords = random.normal(0.0, width, (n_confs, 14, 3)) + 5.0 * random.normal(size=(14, 3))
    return Entry(
        BUTANE, coords, numpy.arange(n_confs) - (n_confs - 1) / 2.0, forces[:, None, None] * numpy.ones((14, 3))
    )


def test_minima_have_small_forces_and_each_counts_once():
    forces = numpy.array([5.0, 0.1, 0.4, MINIMUM_FORCE + 0.01, 0.0])
    entry = make_entry(5, forces)
    assert find_minima(entry) == (1, 2, 4)
    coords = entry.coords.copy()
    coords[2] = coords[4] + 1e-3
    assert find_minima(dataclasses.replace(entry, coords=coords)) == (1, 4)
    without = dataclasses.replace(entry, forces=numpy.full_like(entry.forces, numpy.nan))
    assert find_minima(without) == ()
    assert find_minima(without, numpy.inf) == (0, 1, 2, 3, 4)
    assert len(find_minima(make_entry(30, numpy.zeros(30)))) == MAX_MINIMA


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A scan of butane, three entries with minima, and one of neither kind."""
    molecules = parameterize_molecules()
    angles = numpy.radians(numpy.arange(-165.0, 181.0, 15.0))
    start = numpy.random.default_rng(1).normal(0.0, 1.5, (14, 3))
    scan = turn("butane", start, angles)
    folder = tmp_path_factory.mktemp("entries")
    entries = [make_entry(3, numpy.full(3, force)) for force in (0.1, 0.2, 0.3, 9.0)]
    scanned = Entry(BUTANE, scan, angles - angles.mean(), numpy.full_like(scan, numpy.nan), entry="scan")
    write_dataset(folder / "opt", entries)
    write_dataset(folder / "torsion", [scanned])
    return folder, molecules.topologies


def find(project, max_scans, max_minima, optimized=(), first="test"):
    folder, topologies = project
    rows = assign_rows(index_sources(folder), lambda _: "all")
    rows = [dataclasses.replace(row, split="test" if row.row == 2 else "train") for row in rows]
    return find_tasks(folder, rows, topologies, max_scans, max_minima, first, optimized)


def test_each_kind_is_found_up_to_its_limit(project):
    tasks = find(project, 10, 10)
    scans = [task for task in tasks if task.scan is not None]
    assert [task.row.source for task in scans] == ["torsion"]
    assert scans[0].conformers == tuple(range(24))
    minima = [task for task in tasks if task.scan is None]
    assert sorted(task.row.row for task in minima) == [0, 1, 2]
    assert minima[0].row.split == "test"
    assert find(project, 0, 1) == minima[:1]
    assert find(project, 0, 1, first="train")[0].row.split == "train"
    assert len([task for task in find(project, 0, 9, optimized=("opt",)) if task.scan is None]) == 4


def test_a_source_that_is_not_there_is_told(project):
    with pytest.raises(ValueError, match="'hot' is none of the data sets \\(opt, torsion\\)"):
        find(project, 1, 1, optimized=("hot",))


def test_the_order_is_the_same_every_time(project):
    assert [task.row for task in find(project, 9, 9)] == [task.row for task in find(project, 9, 9)]
