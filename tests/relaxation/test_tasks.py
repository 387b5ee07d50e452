"""Data that a force field relaxed itself have no error under it, and have one under another."""

import dataclasses
import functools

import numpy
import pytest

from common.data.dataset import Entry
from common.data.index import index_sources
from common.data.splits import assign_rows
from common.forcefields.tensors import ParameterizedMolecules
from common.relaxation.entries import find_tasks
from common.relaxation.minimization import HeldDihedral, minimize
from common.relaxation.records import RelaxedMinima, RelaxedScan
from common.relaxation.surface import Surface
from common.relaxation.tasks import relax_all
from tests.helpers import change_parameters, write_dataset
from tests.relaxation.openmm_reference import MOLECULES, parameterize_molecules, turn

BUTANE, DIHEDRAL = MOLECULES["butane"]

ENERGY_ROUNDING = 1e-5
"""[kcal/mol] between minima at which forces are below 1e-4 kcal/mol/Angstrom."""

PLACE_ROUNDING = 1e-3
"""[Angstrom] likewise."""


def make_candidates() -> dict[str, ParameterizedMolecules]:
    """The force field that the data are of, and one with other bonds, angles and torsions."""
    molecules = parameterize_molecules()
    other = change_parameters(molecules.force_field, ("Bonds", "Angles", "ProperTorsions"), seed=2)
    return {"truth": molecules, "other": dataclasses.replace(molecules, force_field=other)}


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory) -> list:
    """A relaxed scan, and minima, of butane by the first force field."""
    molecules = make_candidates()["truth"]
    surface = Surface(molecules.topologies[BUTANE], molecules.force_field)
    angles = numpy.radians(numpy.arange(-165.0, 181.0, 15.0))
    start = minimize(surface, numpy.random.default_rng(1).normal(0.0, 1.5, (1, 14, 3)))
    assert start.converged.all()
    scan = minimize(surface, turn("butane", start.coords[0], angles), HeldDihedral(DIHEDRAL, angles))
    free = minimize(surface, scan.coords[[3, 7, 23]])
    folder = tmp_path_factory.mktemp("tasks")
    entries = []
    for result in (scan, free):
        x = numpy.ascontiguousarray(result.coords)
        forces = numpy.zeros_like(x) if result is free else numpy.full_like(x, numpy.nan)
        energy = result.energy
        entries.append(Entry(BUTANE, x, energy - energy.mean(), forces, float(energy.mean())))
    write_dataset(folder / "butane", entries)
    rows = assign_rows(index_sources(folder), lambda _: "test")
    tasks = find_tasks(folder, rows, molecules.topologies, 5, 5, "test")
    assert len(tasks) == 2
    return relax_all(folder, tasks, make_candidates, 1)


def test_a_scan_of_the_force_field_itself_is_reproduced(relaxed):
    scan = relaxed[0]
    assert isinstance(scan, RelaxedScan)
    assert len(scan.angles) == 24
    assert scan.angles == sorted(scan.angles)
    assert scan.closed
    assert min(scan.reference) == 0.0
    assert scan.energies["truth"] == pytest.approx(scan.reference, abs=ENERGY_ROUNDING)
    assert numpy.abs(numpy.array(scan.energies["other"]) - scan.reference).max() > 0.1
    assert not scan.failures


def test_minima_of_the_force_field_itself_stay(relaxed):
    minima = relaxed[1]
    assert isinstance(minima, RelaxedMinima)
    for name in ("rmsd_heavy", "rmsd_all"):
        assert max(getattr(minima, name)["truth"]) < PLACE_ROUNDING
        assert min(getattr(minima, name)["other"]) > PLACE_ROUNDING
    assert max(minima.tfd["truth"]) < 1e-3
    assert minima.energies["truth"] == pytest.approx(minima.reference, abs=ENERGY_ROUNDING)
    assert sum(one.squares for one in minima.parameters["truth"]) < 1e-3
    assert {one.type for one in minima.parameters["other"]} == {"Bonds", "Angles"}
    assert sum(one.squares for one in minima.parameters["other"] if one.type == "Bonds") > 1e-4


def test_what_one_candidate_does_not_relax_is_left_out_for_all_and_named(relaxed, tmp_path, monkeypatch):
    molecules = make_candidates()["truth"]
    coords = numpy.random.default_rng(1).normal(0.0, 1.5, (3, 14, 3))
    write_dataset(tmp_path / "butane", [Entry(BUTANE, coords, numpy.array([0.0, 1.0, -1.0]), numpy.zeros_like(coords))])
    rows = assign_rows(index_sources(tmp_path), lambda _: "test")
    tasks = find_tasks(tmp_path, rows, molecules.topologies, 5, 5, "test")
    few = functools.partial(minimize, max_steps=1)
    monkeypatch.setattr("common.relaxation.tasks.minimize", few)
    [minima] = relax_all(tmp_path, tasks, make_candidates, 1)
    assert minima.conformers == []
    assert [(one.conformer, one.candidate) for one in minima.failures] == [
        (conformer, name) for name in ("truth", "other") for conformer in range(3)
    ]
