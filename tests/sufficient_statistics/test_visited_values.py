"""What the data visit, against a plain loop."""

import numpy
import pytest
import torch

from common.sufficient_statistics.visited_values import measure_visited, move_minima
from tests.helpers import make_entries, write_dataset


def test_lengths_are_those_of_the_conformers(parity_molecules, parity_energies, tmp_path):
    entries = make_entries(parity_energies[:6], n_confs=4)
    write_dataset(tmp_path / "one", entries)
    counted = entries[:5]
    visited = measure_visited(tmp_path, parity_molecules, {entry.smiles for entry in counted})["Bonds"]
    lengths: dict[int, list[float]] = {}
    for entry in counted:
        map_ = parity_molecules.topologies[entry.smiles].parameters["Bonds"]
        for (i, j), row in zip(map_.particle_idxs.tolist(), map_.parameter_idxs.tolist(), strict=True):
            lengths.setdefault(row, []).extend(numpy.linalg.norm(entry.coords[:, i] - entry.coords[:, j], axis=-1))
    for row, own in lengths.items():
        assert visited.lowest[row] == pytest.approx(min(own))
        assert visited.highest[row] == pytest.approx(max(own))
        assert visited.mean[row] == pytest.approx(numpy.mean(own))
    assert set(numpy.flatnonzero(~numpy.isnan(visited.mean))) == set(lengths)


def test_minima_move_to_the_means_and_others_stay(parity_molecules, parity_energies, tmp_path):
    write_dataset(tmp_path / "one", entries := make_entries(parity_energies[:3], n_confs=2))
    visited = measure_visited(tmp_path, parity_molecules, {entry.smiles for entry in entries})
    moved = move_minima(parity_molecules.force_field, visited)
    for type_, name in (("Bonds", "length"), ("Angles", "angle")):
        fields = [one.potentials_by_type[type_] for one in (parity_molecules.force_field, moved)]
        before, after = (one.column(name).numpy() for one in fields)
        is_there = ~numpy.isnan(visited[type_].mean)
        numpy.testing.assert_array_equal(after[is_there], visited[type_].mean[is_there])
        numpy.testing.assert_array_equal(after[~is_there], before[~is_there])
        assert torch.equal(fields[0].column("k"), fields[1].column("k"))
