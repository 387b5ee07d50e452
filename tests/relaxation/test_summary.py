"""Measures equal plain loops over the records, and changes come in pairs."""

import numpy
import pytest

from common.relaxation.records import (
    Failure,
    Origin,
    ParameterDeviation,
    RelaxedMinima,
    RelaxedScan,
)
from common.relaxation.summary import (
    LABELS,
    MEASURES,
    choose_scans,
    compute_profile_error,
    find_relaxed_group,
    list_tables,
    summarize,
)

ANGLES = numpy.arange(-165.0, 181.0, 15.0)
NAMES = ["before", "after"]


def make_origin(i: int) -> Origin:
    return Origin("scans", i, f"entry {i}", "C", f"molecule {i // 2}", "test" if i < 8 else "train")


def make_scan(i: int) -> RelaxedScan:
    random = numpy.random.default_rng(i)
    reference = 2.0 * (1.0 - numpy.cos(numpy.radians(ANGLES)))
    energies = {name: reference + width * random.normal(size=24) for name, width in zip(NAMES, (0.4, 0.2), strict=True)}
    lowest = int(reference.argmin())
    return RelaxedScan(
        origin=make_origin(i),
        atoms=(0, 1, 2, 3),
        angles=ANGLES.tolist(),
        reference=(reference - reference.min()).tolist(),
        energies={name: (one - one[lowest]).tolist() for name, one in energies.items()},
        closed=True,
        failures=[Failure(0, "after", "no step leads downhill")] if i == 3 else [],
    )


def make_minima(i: int, n: int = 3) -> RelaxedMinima:
    random = numpy.random.default_rng(100 + i)

    def draw(width: float) -> dict[str, list[float]]:
        return {
            name: (factor * abs(random.normal(0.0, width, n))).tolist()
            for name, factor in zip(NAMES, (2, 1), strict=True)
        }

    return RelaxedMinima(
        origin=make_origin(i),
        conformers=list(range(n)),
        reference=[0.0, 1.0, 3.0][:n],
        energies={name: [0.0, *own[1:]] for name, own in draw(2.0).items()},
        rmsd_heavy=draw(0.2),
        rmsd_all=draw(0.3),
        tfd={name: [] for name in NAMES} if i == 0 else draw(0.05),
        parameters={
            name: [
                ParameterDeviation("Bonds", "[*:1]~[*:2]", 4, 0.1 * k, 0.02 * k),
                ParameterDeviation("Angles", "a", 2, k, k),
            ]
            for k, name in ((2.0, "before"), (1.0, "after"))
        },
        failures=[],
    )


@pytest.fixture(scope="module")
def scans():
    return [make_scan(i) for i in range(12)]


@pytest.fixture(scope="module")
def minima():
    return [make_minima(i) for i in range(12)]


@pytest.fixture(scope="module")
def benchmark(scans, minima):
    return summarize([*scans, *minima], NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_scan_measures_are_those_of_plain_loops(benchmark, scans, name):
    group = find_relaxed_group(benchmark, "scans", "test")
    chosen = [scan for scan in scans if scan.origin.split == "test"]
    squares, errors, heights = [], [], []
    for scan in chosen:
        error = numpy.array(scan.energies[name]) - scan.reference
        squares += ((error - error.mean()) ** 2).tolist()
        errors += [one for one, zero in zip(error, scan.reference, strict=True) if zero != 0.0]
        own = numpy.array(scan.energies[name])
        top = max(own[(23 + shift) % 24] for shift in (-1, 0, 1))  # at 180 degree, with a point on either side
        heights.append(top - min(own[11 + shift] for shift in (-1, 0, 1)) - max(scan.reference))
    own = group.measures[name]
    assert (group.n_entries, group.n_molecules, group.n_geometries) == (8, 4, 192)
    assert own["profile_rmse"].value == pytest.approx(numpy.sqrt(numpy.mean(squares)))
    assert own["profile_mean_error"].value == pytest.approx(numpy.mean(errors))
    assert own["barrier_rmse"].value == pytest.approx(numpy.sqrt(numpy.mean(numpy.square(heights))))
    assert own["barrier_mean_error"].value == pytest.approx(numpy.mean(heights))
    assert own["profile_rmse"].interval is None  # four molecules
    assert group.n_not_relaxed == {"before": 0, "after": 1}


@pytest.mark.parametrize("name", NAMES)
def test_minima_measures_are_those_of_plain_loops(benchmark, minima, name):
    group = find_relaxed_group(benchmark, "minima", "all")
    own = group.measures[name]
    for measure in ("rmsd_heavy", "rmsd_all", "tfd"):
        values = [value for one in minima for value in getattr(one, measure)[name]]
        assert own[measure].value == pytest.approx(numpy.mean(values))
    errors = [numpy.array(one.energies[name][1:]) - one.reference[1:] for one in minima]
    assert own["dde_rmse"].value == pytest.approx(numpy.sqrt(numpy.mean(numpy.square(errors))))
    assert own["dde_mae"].value == pytest.approx(numpy.mean(numpy.abs(errors)))
    factor = {"before": 2.0, "after": 1.0}[name]
    assert own["bond_rmse"].value == pytest.approx(numpy.sqrt(0.02 * factor / 4))
    assert own["improper_rmse"].value is None
    low, high = own["rmsd_heavy"].interval
    assert low < own["rmsd_heavy"].value < high


def test_changes_are_relative_to_the_first_and_their_intervals_are_paired(benchmark):
    group = find_relaxed_group(benchmark, "scans", "all")
    change = group.changes["after"]["profile_rmse"]
    own = [group.measures[name]["profile_rmse"].value for name in NAMES]
    assert change.value == pytest.approx(own[1] / own[0] - 1.0)
    assert change.interval[0] < change.value < change.interval[1] < 0.0
    bonds = find_relaxed_group(benchmark, "minima", "all").changes["after"]["bond_rmse"]
    assert bonds.interval == pytest.approx((bonds.value, bonds.value))  # each molecule changes alike
    assert "profile_mean_error" not in group.changes["after"]
    assert "before" not in group.changes


def test_parameters_failures_and_tables(benchmark):
    bonds, angles = (next(one for one in benchmark.parameters if one.type == type_) for type_ in ("Bonds", "Angles"))
    assert (bonds.n_molecules, bonds.n_coordinates) == (6, 48)
    assert bonds.mean == pytest.approx({"before": 0.05, "after": 0.025})
    assert angles.rms["before"] == pytest.approx(1.0)
    assert list(benchmark.failures) == ["scans, row 3, C"]
    tables = list_tables(benchmark)
    assert {len(row) for row in tables["relaxed"]} == {14}
    assert len(tables["relaxed_profiles"]) == 12 * 24
    assert tables["relaxed_failures"][0]["reason"] == "no step leads downhill"
    assert tables["relaxed_parameters"][0]["rms after"] > 0.0
    assert {name for names in MEASURES.values() for name in names} == set(LABELS)


def test_scans_are_drawn_from_the_best_to_the_worst(benchmark):
    drawn = choose_scans(benchmark, "test", "after", 3)
    errors = [compute_profile_error(scan, "after") for scan in drawn]
    everything = [compute_profile_error(scan, "after") for scan in benchmark.scans if scan.origin.split == "test"]
    assert errors == sorted(errors)
    assert (errors[0], errors[-1]) == (min(everything), max(everything))
    assert len(choose_scans(benchmark, "validation", "after", 99)) == 12


def test_nothing_that_counts_gives_no_numbers():
    empty = summarize([make_minima(0, n=0)], NAMES)
    assert [group.split for group in empty.groups] == ["test", "all"]
    for group in empty.groups:
        assert group.measures["after"]["rmsd_all"].value is None
        assert group.n_geometries == 0
