"""The figures against plain loops, and the intervals against what statistics says of them."""

import dataclasses
import math

import numpy
import pytest

from common.analysis.error_statistics import (
    MIN_MOLECULES,
    calibrate,
    compare_candidates,
    compute_group_errors,
    describe_molecules,
    describe_parameter_errors,
    resample_molecules,
    sum_errors,
)
from common.analysis.predictions import Predictions
from common.analysis.records import RelativeChange
from common.data.splits import SplitRow

ROUNDING = 1e-12
"""Relative: the same sums in another order."""

ENTRIES = [
    # source, split, molecule, conformers, atoms
    ("gen2-opt", "train", "CCO", 5, 9),
    ("gen2-opt", "train", "CC", 1, 8),
    ("gen2-opt", "test", "CCN", 4, 10),
    ("spice", "train", "CCO", 3, 9),  # the same molecule in another source
    ("spice", "validation", "CO", 7, 6),
    ("spice", "test", "CCC", 2, 11),
    ("spice", "train", "C", 6, 5),
    ("spice", "train", "CN", 2, 7),
    ("spice", "train", "CS", 2, 6),
]


def make_predictions(entries=ENTRIES, seed: int = 0, with_weights: bool = True) -> Predictions:
    """Random energies and residuals of two candidates."""
    random = numpy.random.default_rng(seed)
    n_confs = [entry[3] for entry in entries]
    weights = [random.random(n) if with_weights else numpy.ones(n) for n in n_confs]
    total = sum(n_confs)
    return Predictions(
        names=("initial", "fitted"),
        rows=tuple(SplitRow(s, i, f"[{key}]", n, 3 * n * m, split) for i, (s, split, key, n, m) in enumerate(entries)),
        keys=tuple(entry[2] for entry in entries),
        n_atoms=numpy.array([entry[4] for entry in entries]),
        weights=numpy.concatenate([one / one.sum() for one in weights]),
        reference=random.normal(0.0, 5.0, total),
        energies=random.normal(100.0, 5.0, (2, total)),
        force_squares=random.random((2, total)) * 100.0,
        force_magnitudes=random.random((2, total)) * 50.0,
        standard_errors=numpy.full((2, total), numpy.nan),
        force_samples={},
    )


def compute_by_loops(predictions: Predictions, i: int, chosen: list[int]) -> dict[str, float]:
    """The figures of candidate ``i`` on some entries, conformer by conformer."""
    squares = magnitudes = force_squares = force_magnitudes = n_confs = n_components = 0.0
    loss_energy, loss_forces = [], []
    for entry in chosen:
        start, n = predictions.starts[entry], predictions.n_confs[entry]
        n_atoms = predictions.n_atoms[entry]
        differences = [predictions.energies[i, c] - predictions.reference[c] for c in range(start, start + n)]
        weights = [predictions.weights[c] for c in range(start, start + n)]
        mean = sum(differences) / n
        weighted_mean = sum(w * d for w, d in zip(weights, differences, strict=True))
        squares += sum((d - mean) ** 2 for d in differences)
        magnitudes += sum(abs(d - mean) for d in differences)
        loss_energy.append(sum(w * (d - weighted_mean) ** 2 for w, d in zip(weights, differences, strict=True)))
        forces = [predictions.force_squares[i, c] for c in range(start, start + n)]
        loss_forces.append(sum(w * f / (3 * n_atoms) for w, f in zip(weights, forces, strict=True)))
        force_squares += sum(forces)
        force_magnitudes += sum(predictions.force_magnitudes[i, c] for c in range(start, start + n))
        n_confs += n
        n_components += 3 * n_atoms * n
    return {
        "energy_rmse": math.sqrt(squares / n_confs),
        "energy_mae": magnitudes / n_confs,
        "force_rmse": math.sqrt(force_squares / n_components),
        "force_mae": force_magnitudes / n_components,
        "loss_energy": sum(loss_energy) / len(chosen),
        "loss_forces": sum(loss_forces) / len(chosen),
        "loss_energy_root": math.sqrt(sum(loss_energy) / len(chosen)),
        "loss_forces_root": math.sqrt(sum(loss_forces) / len(chosen)),
    }


def test_every_group_equals_plain_loops():
    predictions = make_predictions()
    groups = compute_group_errors(sum_errors(predictions))
    names = [(group.split, group.source) for group in groups]
    there = {(one, other) for source, split, *_ in ENTRIES for one in (split, "all") for other in (source, "all")}
    order = [(s, o) for s in ("test", "validation", "train", "all") for o in ("all", "gen2-opt", "spice")]
    assert names == [name for name in order if name in there]
    for group in groups:
        chosen = [
            i
            for i, (source, split, *_) in enumerate(ENTRIES)
            if group.source in ("all", source) and group.split in ("all", split)
        ]
        assert group.n_entries == len(chosen)
        assert group.n_molecules == len({ENTRIES[i][2] for i in chosen})
        assert group.n_conformers == sum(ENTRIES[i][3] for i in chosen)
        assert group.n_force_components == sum(3 * ENTRIES[i][3] * ENTRIES[i][4] for i in chosen)
        assert group.n_single_conformer_entries == sum(ENTRIES[i][3] == 1 for i in chosen)
        for i, name in enumerate(predictions.names):
            for figure, value in compute_by_loops(predictions, i, chosen).items():
                assert getattr(group.candidates[name], figure) == pytest.approx(value, rel=ROUNDING, abs=1e-12), figure


def test_a_shift_of_an_entrys_energies_changes_nothing():
    predictions = make_predictions()
    before = compute_group_errors(sum_errors(predictions))
    predictions.energies[:] += numpy.repeat(numpy.arange(len(ENTRIES)) * 10.0, predictions.n_confs)
    after = compute_group_errors(sum_errors(predictions))
    for one, other in zip(before, after, strict=True):
        for name in predictions.names:
            figures, expected = other.candidates[name], one.candidates[name]
            assert figures.energy_rmse == pytest.approx(expected.energy_rmse, rel=1e-9)


def test_molecules_equal_plain_loops():
    predictions = make_predictions()
    records = describe_molecules(sum_errors(predictions))
    assert sorted(record.molecule for record in records) == sorted({entry[2] for entry in ENTRIES})
    for record in records:
        chosen = [i for i, entry in enumerate(ENTRIES) if entry[2] == record.molecule]
        assert record.n_entries == len(chosen)
        assert record.sources.split() == sorted({ENTRIES[i][0] for i in chosen})
        for i, name in enumerate(predictions.names):
            expected = compute_by_loops(predictions, i, chosen)
            assert record.energy_rmse[name] == pytest.approx(expected["energy_rmse"], rel=ROUNDING, abs=1e-12)
            assert record.force_rmse[name] == pytest.approx(expected["force_rmse"], rel=ROUNDING)


def make_many(n_molecules: int, seed: int = 0) -> Predictions:
    return make_predictions([("one", "test", f"C{i}", 4, 5) for i in range(n_molecules)], seed)


def test_intervals_have_the_width_that_the_central_limit_theorem_says():
    errors = sum_errors(make_many(2000))
    chosen = numpy.ones(2000, dtype=bool)
    resampled = resample_molecules(errors, chosen)
    for found, squares, sizes in (
        (resampled.energy_rmse[0], errors.energy_squares[0], errors.n_confs),
        (resampled.force_rmse[0], errors.force_squares[0], errors.n_components),
    ):
        means = squares / sizes
        expected = means.std() / math.sqrt(2000) / (2.0 * math.sqrt(means.mean()))  # error propagated through the root
        assert found.std() == pytest.approx(expected, rel=0.1)  # 1,000 resamples give a deviation to 2 %
        assert found.mean() == pytest.approx(math.sqrt(means.mean()), rel=0.01)
    group = compute_group_errors(errors)[0].candidates["initial"]
    low, high = group.energy_rmse_interval
    assert (high - low) / 3.92 == pytest.approx(resampled.energy_rmse[0].std(), rel=0.1)


def test_intervals_are_over_molecules_and_not_over_conformers():
    """Entries of one molecule are drawn together: twice the same data say no more."""
    entries = [("one", "test", f"C{i}", 4, 5) for i in range(30)]
    once = make_predictions(entries, with_weights=False)
    arrays = {
        name: numpy.concatenate([getattr(once, name)] * 2, axis=-1)
        for name in (
            "weights",
            "reference",
            "energies",
            "force_squares",
            "force_magnitudes",
            "n_atoms",
            "standard_errors",
        )
    }
    twice = Predictions(once.names, once.rows * 2, once.keys * 2, force_samples={}, **arrays)
    one, two = (compute_group_errors(sum_errors(predictions))[0].candidates for predictions in (once, twice))
    for name in once.names:
        for figure in ("energy_rmse_interval", "force_rmse_interval"):
            assert getattr(one[name], figure) == pytest.approx(getattr(two[name], figure), rel=ROUNDING)


def test_too_few_molecules_have_no_interval():
    for n_molecules, has_interval in ((MIN_MOLECULES - 1, False), (MIN_MOLECULES, True)):
        errors = sum_errors(make_many(n_molecules))
        figures = compute_group_errors(errors)[0].candidates["fitted"]
        assert (figures.energy_rmse_interval is not None) == has_interval
        comparison = compare_candidates(errors, "test", "initial", "fitted")
        assert (comparison.forces.interval is not None) == has_interval


def test_the_change_is_resampled_in_pairs():
    """A force field whose residuals are all half as large is better by half, without any uncertainty."""
    predictions = make_many(50)
    predictions.energies[1] = predictions.reference + 0.5 * (predictions.energies[0] - predictions.reference)
    predictions.force_squares[1] = 0.25 * predictions.force_squares[0]
    comparison = compare_candidates(sum_errors(predictions), "test", "initial", "fitted")
    for part in ("energy", "forces"):
        assert getattr(comparison, part).change == pytest.approx(-0.5, rel=1e-9)
        assert getattr(comparison, part).interval == pytest.approx([-0.5, -0.5], rel=1e-9)
    predictions.energies[0] = predictions.reference
    comparison = compare_candidates(sum_errors(predictions), "test", "initial", "fitted")
    assert comparison.energy == RelativeChange(None, None)


def test_errors_by_parameter_equal_plain_loops():
    errors = sum_errors(make_predictions())
    usage = {f"[{key}]": {("Bonds", "[*:1]~[*:2]")} for _, _, key, _, _ in ENTRIES}
    usage["[CCO]"].add(("vdW", "[#8:1]"))
    usage["[CO]"].add(("vdW", "[#8:1]"))
    usage["[CS]"].add(("vdW", "[#16:1]"))
    records = {r.smirks: r for r in describe_parameter_errors(errors, "fitted", usage)}
    molecules = {record.molecule: record.force_rmse["fitted"] for record in describe_molecules(errors)}
    oxygen = [molecules["CCO"], molecules["CO"]]
    others = [value for key, value in molecules.items() if key not in ("CCO", "CO")]
    record = records["[#8:1]"]
    assert record.n_molecules == 2
    assert record.force_rmse == pytest.approx(sum(oxygen) / 2, rel=ROUNDING)
    assert record.force_rmse_others == pytest.approx(sum(others) / len(others), rel=ROUNDING)
    assert record.force_ratio == pytest.approx(record.force_rmse / record.force_rmse_others)
    assert records["[*:1]~[*:2]"].force_rmse_others is None
    ratios = [record.force_ratio for record in records.values() if record.force_ratio is not None]
    assert ratios == sorted(ratios, reverse=True)


def make_calibrated(scale: float, residual: float) -> Predictions:
    """Errors that are ``scale`` times as large as their standard errors say, with a residual on top."""
    random = numpy.random.default_rng(1)
    n_entries, n = 400, 25
    predictions = make_predictions([("one", "test", f"C{i}", n, 3) for i in range(n_entries)])
    standard_errors = random.uniform(0.5, 2.0, n_entries).repeat(n)
    noise = scale * standard_errors * random.normal(size=n_entries * n)
    noise = noise + residual * random.normal(size=n_entries * n)
    energies = numpy.stack((predictions.energies[0], predictions.reference + noise))
    known = standard_errors * (1.0 - 1.0 / n) ** 0.5  # of energies relative to the mean of their entry
    return dataclasses.replace(
        predictions, energies=energies, standard_errors=numpy.stack((predictions.standard_errors[0], known))
    )


SAMPLING = 0.02
"""What coverages of 10,000 errors may differ by."""


def test_errors_as_large_as_they_say_are_covered_as_they_should():
    found = calibrate(make_calibrated(1.0, 0.0), "fitted", "test", 0.0)
    assert found.by_parameters == pytest.approx(found.nominal, abs=SAMPLING)
    assert found.with_residual == found.by_parameters
    assert (found.n_energies, found.n_molecules) == (10_000, 400)
    assert found.error == pytest.approx(found.standard_error, rel=SAMPLING)


def test_larger_errors_are_covered_with_the_residual():
    found = calibrate(make_calibrated(1.0, 3.0), "fitted", "all", 3.0)
    assert found.with_residual == pytest.approx(found.nominal, abs=SAMPLING)
    assert found.by_parameters[-2] < 0.8


def test_without_standard_errors_there_is_no_calibration():
    assert calibrate(make_calibrated(1.0, 0.0), "initial", "test", 0.0) is None
    assert calibrate(make_calibrated(1.0, 0.0), "fitted", "validation", 0.0) is None
