"""The pass as an artifact: equal for any ranks, reused when it may be, made anew when it must."""

import dataclasses
import pathlib
import shutil
import threading
import time

import numpy
import pytest
import torch

from common.data.splits import SplitSettings
from common.data.weighting import ConformerSelection
from common.fitting.objective import build_objective
from common.forcefields.parameter_file import save_parameters
from common.sufficient_statistics import accumulation
from common.sufficient_statistics import plan as pass_plan
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from tests.helpers import make_entries, raises_with_advice, write_dataset
from tests.sufficient_statistics.test_gram import compute_brute_force, draw_parameters

RANK_TOLERANCE = 1e-10
"""Relative: sums in another order."""

TYPES = ("Bonds", "Angles", "ProperTorsions", "ImproperTorsions")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, parity_molecules, parity_energies) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("inputs")
    entries = make_entries(parity_energies, n_confs=5)
    write_dataset(folder / "data" / "one", entries[::2])
    write_dataset(folder / "data" / "two", entries[1::2])
    save_parameters(folder / "parameters.pt", parity_molecules)
    return folder


def run_pass(inputs, cache, settings=None, n_processes=1, **machine):
    machine = PassMachine(n_processes, **machine)
    return compute_statistics(inputs / "data", inputs / "parameters.pt", cache, settings or PassSettings(), machine)


def assert_equal(one, other):
    assert one.groups.keys() == other.groups.keys()
    for name, group in one.groups.items():
        for part in ("energy", "forces"):
            matrices = getattr(group, part), getattr(other.groups[name], part)
            assert (matrices[0] - matrices[1]).abs().max() <= RANK_TOLERANCE * matrices[0].abs().max()
    assert one.folds.keys() == other.folds.keys()
    for name, fold in one.folds.items():
        assert fold.n_forces == other.folds[name].n_forces
        assert (fold.forces - other.folds[name].forces).abs().max() <= RANK_TOLERANCE * fold.forces.abs().max()


def test_folds_hold_what_trains_and_validates(inputs, tmp_path):
    statistics = run_pass(inputs, tmp_path)
    assert {number for _, number in statistics.folds} == set(range(5))
    groups = [group for (_, split), group in statistics.groups.items() if split != "test"]
    assert sum(fold.n_forces for fold in statistics.folds.values()) == sum(group.n_entries for group in groups)
    for part in ("energy", "forces"):
        dealt_out = sum(getattr(fold, part) for fold in statistics.folds.values())
        expected = sum(getattr(group, part) for group in groups)
        assert (dealt_out - expected).abs().max() <= RANK_TOLERANCE * expected.abs().max()


def test_without_folds_there_are_none(inputs, tmp_path):
    assert run_pass(inputs, tmp_path, PassSettings(split=SplitSettings(n_folds=0))).folds == {}


def test_loss_on_each_split_equals_brute_force(inputs, tmp_path, parity_molecules, parity_energies):
    statistics = run_pass(inputs, tmp_path)
    entries = make_entries(parity_energies, n_confs=5)
    splits = statistics.splits
    trial, _ = draw_parameters(parity_molecules.force_field, TYPES, seed=0)
    for split in ("train", "validation", "test"):
        chosen = [entry for entry in entries if splits[entry.smiles] == split]
        weights = [numpy.full(5, 0.2)] * len(chosen)
        expected = compute_brute_force(parity_molecules, trial, chosen, weights)
        found = build_objective(statistics, split).compute_parts(trial)
        for one, other in zip(found, expected, strict=True):
            assert one.item() == pytest.approx(other.item() / len(chosen), rel=1e-9)
        groups = [group for (_, name), group in statistics.groups.items() if name == split]
        assert sum(group.n_entries for group in groups) == len(chosen)
        assert sum(group.n_conformers for group in groups) == 5 * len(chosen)


@pytest.mark.parametrize("n_processes", [2, 4])
def test_ranks_give_the_same(inputs, tmp_path, n_processes, monkeypatch):
    monkeypatch.setattr(pass_plan, "MIN_SHARD_SECONDS", 0.0)  # many shards, so that every rank has some
    alone = run_pass(inputs, tmp_path / "1")
    together = run_pass(inputs, tmp_path / "n", n_processes=n_processes)
    assert together.n_ranks == n_processes
    assert_equal(alone, together)


def test_a_second_run_reuses_the_statistics(inputs, tmp_path, monkeypatch):
    first = run_pass(inputs, tmp_path)
    assert not first.is_reused
    monkeypatch.setattr(accumulation, "_compute_shard", None)  # to compute anything would fail
    second = run_pass(inputs, tmp_path, n_processes=2, chunk_bytes=1_000_000)
    assert second.is_reused
    assert_equal(first, second)


@pytest.mark.parametrize(
    "settings",
    [
        PassSettings(split=SplitSettings(validation_fraction=0.2)),
        PassSettings(split=SplitSettings(split_seed=1)),
        PassSettings(with_vdw=True),
        PassSettings(conformers=ConformerSelection(energy_ceiling=5.0)),
        PassSettings(conformers=ConformerSelection(boltzmann_temperature=500.0)),
    ],
)
def test_other_settings_make_a_new_pass(inputs, tmp_path, settings):
    first = run_pass(inputs, tmp_path)
    other = run_pass(inputs, tmp_path, settings)
    assert not other.is_reused
    assert other.fingerprint != first.fingerprint


def test_other_data_or_parameters_make_a_new_pass(inputs, tmp_path, parity_molecules, parity_energies):
    copy = tmp_path / "copy"
    shutil.copytree(inputs, copy)
    first = run_pass(copy, tmp_path / "cache")
    write_dataset(copy / "data" / "three", make_entries(parity_energies[:3], n_confs=2, seed=5))
    second = run_pass(copy, tmp_path / "cache")
    tables = {"Bonds": parity_molecules.force_field.potentials_by_type["Bonds"].parameters * 1.01}
    force_field = parity_molecules.force_field.replace_parameters(tables)
    save_parameters(copy / "parameters.pt", dataclasses.replace(parity_molecules, force_field=force_field))
    third = run_pass(copy, tmp_path / "cache")
    assert not second.is_reused
    assert not third.is_reused
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3


@pytest.mark.parametrize("damage", ["cut", "flip", "no checksum"])
def test_damaged_statistics_are_not_used(inputs, tmp_path, damage):
    first = run_pass(inputs, tmp_path)
    path = tmp_path / f"{first.fingerprint}.pt"
    contents = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(contents[: len(contents) // 2])
    elif damage == "flip":
        contents[len(contents) // 2] ^= 1
        path.write_bytes(contents)
    else:
        path.with_suffix(".sha256").unlink()
    second = run_pass(inputs, tmp_path)
    assert not second.is_reused
    assert_equal(first, second)


def test_a_second_run_waits_for_the_first_and_makes_no_pass(inputs, tmp_path, monkeypatch, capsys):
    """Two fits of the same data, started together: the shards of one would go while the other needs them."""
    finish, found = threading.Event(), []
    compute = accumulation._compute_shard

    def compute_when_told(*arguments):
        started.set()
        assert finish.wait(60.0)
        return compute(*arguments)

    started = threading.Event()
    monkeypatch.setattr(accumulation, "_compute_shard", compute_when_told)
    threads = [threading.Thread(target=lambda: found.append(run_pass(inputs, tmp_path))) for _ in range(2)]
    threads[0].start()
    assert started.wait(60.0)
    threads[1].start()
    deadline = time.monotonic() + 60.0
    while "waiting until it has ended" not in (text := capsys.readouterr().out):
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    finish.set()
    for thread in threads:
        thread.join(60.0)
    assert [one.is_reused for one in found] == [False, True]
    assert_equal(*found)
    assert not list(tmp_path.glob(".*.lock"))


def test_finished_statistics_need_no_lock(inputs, tmp_path, monkeypatch):
    """They may lie where nobody may write."""
    run_pass(inputs, tmp_path)
    monkeypatch.setattr(accumulation, "wait_for_lock", None)
    assert run_pass(inputs, tmp_path).is_reused


def test_an_interrupted_pass_goes_on_from_its_shards(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(pass_plan, "MIN_SHARD_SECONDS", 0.0)
    expected = run_pass(inputs, tmp_path / "undisturbed")
    compute, calls = accumulation._compute_shard, []

    def fail_in_call_ten(plan, *others):
        calls.append(len(plan.shards))
        if len(calls) == 10:
            raise KeyboardInterrupt
        return compute(plan, *others)

    monkeypatch.setattr(accumulation, "_compute_shard", fail_in_call_ten)
    with pytest.raises(KeyboardInterrupt):
        run_pass(inputs, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.pt"))
    (work,) = (tmp_path / "cache").glob("*.shards")
    shards = sorted(work.glob("*.pt"))
    assert len(shards) == 9
    shards[3].write_bytes(b"cut short")

    finished = run_pass(inputs, tmp_path / "cache")
    assert_equal(expected, finished)
    n_shards = calls[0]
    assert len(calls) == 10 + n_shards - 8  # of the nine, one was damaged
    assert not work.exists()


def test_a_molecule_without_parameters_is_named(inputs, tmp_path, parity_energies):
    copy = tmp_path / "copy"
    shutil.copytree(inputs, copy)
    stranger = "[C:1]([H:2])([H:3])([H:4])[Cl:5]"
    entry = dataclasses.replace(make_entries(parity_energies[:1], n_confs=2)[0], smiles=stranger)
    write_dataset(copy / "data" / "three", [entry])
    with raises_with_advice(ValueError, r"three, row 0: .*no parameters for .*run 002-parameterize.py"):
        run_pass(copy, tmp_path / "cache")


def test_atom_counts_that_disagree_are_named(inputs, tmp_path, parity_energies):
    copy = tmp_path / "copy"
    shutil.copytree(inputs, copy)
    entry = make_entries(parity_energies[:1], n_confs=2)[0]
    entry = dataclasses.replace(entry, coords=entry.coords[:, :-1], forces=entry.forces[:, :-1])
    write_dataset(copy / "data" / "three", [entry])
    with pytest.raises(ValueError, match=r"three, row 0: .* has 5 atoms and 2 conformers but 24 coordinates"):
        run_pass(copy, tmp_path / "cache")


def test_exercise_counts_molecules_and_conformers(inputs, tmp_path, parity_molecules):
    statistics = run_pass(
        inputs, tmp_path, PassSettings(split=SplitSettings(validation_fraction=0.0, test_fraction=0.0))
    )
    counts = statistics.exercise["train"]["Bonds"]
    for row, key in enumerate(parity_molecules.force_field.potentials_by_type["Bonds"].parameter_keys):
        users = [t for t in parity_molecules.topologies.values() if row in t.parameters["Bonds"].parameter_idxs]
        # E- and Z-2-butene are one molecule by connectivity
        assert len(users) - 1 <= counts[row, 0] <= len(users), key
        assert counts[row, 1] == 5 * len(users)
    assert torch.equal(statistics.features, statistics.features.unique())
