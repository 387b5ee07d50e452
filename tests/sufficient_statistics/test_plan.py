"""The plan of a pass: every row once, shards of one group and like cost, shared out evenly."""

import dataclasses

import pytest

from common.data.splits import SplitSettings
from common.data.weighting import ConformerSelection
from common.sufficient_statistics import plan as pass_plan
from common.sufficient_statistics.plan import assign_shards, index_rows, plan_pass
from common.sufficient_statistics.settings import PassMachine, PassSettings
from tests.helpers import make_entries, write_dataset

SETTINGS = PassSettings(ConformerSelection(energy_ceiling=5.0), SplitSettings(0.2, 0.2))


@pytest.fixture(scope="module")
def data(tmp_path_factory, parity_energies):
    folder = tmp_path_factory.mktemp("plan") / "data"
    entries = make_entries(parity_energies, n_confs=5)
    write_dataset(folder / "one", entries[::2])
    write_dataset(folder / "two", entries[1::2])
    return folder


def plan(data, molecules, settings=SETTINGS):
    return plan_pass(data, data / "x.pt", data / "statistics.pt", molecules, settings, PassMachine())


def test_every_row_is_in_one_shard_of_its_group(data, parity_molecules, monkeypatch):
    monkeypatch.setattr(pass_plan, "MIN_SHARD_SECONDS", 0.0)
    made = plan(data, parity_molecules)
    rows = [row for shard in made.shards for row in shard]
    assert sorted((row.source, row.row) for row in rows) == sorted(
        (row.source, row.row) for source in ("one", "two") for row in index_rows(data / source, parity_molecules, data)
    )
    for i, shard in enumerate(made.shards):
        assert {(row.source, row.split) for row in shard} == {made.get_group(i)}
        assert [row.row for row in shard] == sorted(row.row for row in shard)
    assert {group for _, group in map(made.get_group, range(len(made.shards)))} == {"train", "validation", "test"}
    assert made.conformers == SETTINGS.conformers


def test_shards_are_of_like_cost(data, parity_molecules, monkeypatch):
    monkeypatch.setattr(pass_plan, "MIN_SHARD_SECONDS", 0.0)
    monkeypatch.setattr(pass_plan, "N_SHARDS", 8)
    made = plan(data, parity_molecules)
    limit = sum(made.costs) / 8
    assert len(made.costs) == len(made.shards)
    assert all(cost <= limit for cost, shard in zip(made.costs, made.shards, strict=True) if len(shard) > 1)


def test_little_work_is_one_shard_for_each_group(data, parity_molecules):
    settings = dataclasses.replace(SETTINGS, split=dataclasses.replace(SETTINGS.split, n_folds=0))
    assert len(plan(data, parity_molecules, settings).shards) == 6
    made = plan(data, parity_molecules)
    assert len(made.shards) == len({(made.get_group(i), made.get_fold(i)) for i in range(len(made.shards))})


def test_pairs_are_part_of_the_features_where_they_are_trained(data, parity_molecules):
    without, with_vdw = plan(data, parity_molecules), plan(data, parity_molecules, PassSettings(with_vdw=True))
    assert len(without.vdw_pairs) == 0
    assert len(with_vdw.features) == len(without.features) + 2 * len(with_vdw.vdw_pairs)


@pytest.mark.parametrize("n_ranks", [1, 3, 7])
def test_shards_are_shared_out_evenly(n_ranks):
    costs = [5.0, 1.0, 4.0, 1.0, 3.0, 2.0, 2.0, 6.0]
    assigned = assign_shards(costs, n_ranks)
    assert sorted(i for mine in assigned for i in mine) == list(range(len(costs)))
    loads = [sum(costs[i] for i in mine) for mine in assigned]
    assert max(loads) <= max(max(costs), sum(costs) / n_ranks + min(costs))
