"""Data sets: what is written comes back to the last bit, other programs can open it, damage is named."""

import dataclasses
import json
import pathlib

import datasets
import numpy
import pyarrow
import pytest

from common.data import dataset as module
from common.data.dataset import (
    SCHEMA,
    Entry,
    ShardWriter,
    finish_dataset,
    list_sources,
    open_dataset,
    read_entries,
    read_fingerprint,
    read_provenance,
)
from common.data.index import index_dataset
from tests.helpers import write_dataset

SHAPES = ((1, 1), (3, 5), (7, 2))
"""Conformers and atoms of the entries."""


def make_entries(seed: int = 0) -> list[Entry]:
    random = numpy.random.default_rng(seed)
    return [
        Entry(
            smiles=f"molecule {i}",
            coords=random.standard_normal((n_confs, n_atoms, 3)),
            energy=random.standard_normal(n_confs),
            forces=random.standard_normal((n_confs, n_atoms, 3)),
            energy_offset=-525_000.123456789,
            entry=f"gen2-opt/{i}",
        )
        for i, (n_confs, n_atoms) in enumerate(SHAPES)
    ]


def assert_equal(found: Entry, expected: Entry) -> None:
    assert (found.smiles, found.entry) == (expected.smiles, expected.entry)
    assert found.energy_offset == expected.energy_offset
    for name in ("coords", "energy", "forces"):
        values = getattr(found, name)
        assert values.dtype == numpy.float64
        numpy.testing.assert_array_equal(values, getattr(expected, name))


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    write_dataset(tmp_path / "data" / "one", make_entries())
    return tmp_path / "data" / "one"


def test_entries_come_back_to_the_last_bit(folder):
    for found, expected in zip(read_entries(open_dataset(folder)), make_entries(), strict=True):
        assert_equal(found, expected)
    [last, first] = read_entries(open_dataset(folder), [2, 0])
    assert_equal(last, make_entries()[2])
    assert_equal(first, make_entries()[0])


def test_an_entry_knows_its_sizes_and_selects_conformers():
    entry = make_entries()[1]
    assert (entry.n_confs, entry.n_atoms) == (3, 5)
    assert entry.n_bytes == 8 * (3 * 5 * 3 * 2 + 3)
    chosen = entry.select([2, 0])
    assert chosen.energy.mean() == pytest.approx(0.0, abs=1e-15)
    total = chosen.energy + chosen.energy_offset
    numpy.testing.assert_allclose(total, (entry.energy + entry.energy_offset)[[2, 0]], rtol=1e-15)
    numpy.testing.assert_array_equal(chosen.forces, entry.forces[[2, 0]])
    numpy.testing.assert_array_equal(entry.select(numpy.array([True, False, True])).coords, entry.coords[[0, 2]])


def test_other_programs_open_it_and_see_the_same(folder):
    """Hugging Face datasets, and through it descent."""
    loaded = datasets.load_from_disk(str(folder))
    assert loaded.column_names == SCHEMA.names
    numpy.testing.assert_array_equal(loaded[1]["coords"], make_entries()[1].coords.reshape(-1))


def test_columns_that_descent_does_not_write_may_be_missing(tmp_path):
    entry = make_entries()[1]
    record = {
        "smiles": [entry.smiles],
        "coords": [entry.coords.reshape(-1).tolist()],
        "energy": [entry.energy.tolist()],
        "forces": [entry.forces.reshape(-1).tolist()],
    }
    datasets.Dataset.from_dict(record).save_to_disk(str(tmp_path / "theirs"))
    [found] = read_entries(open_dataset(tmp_path / "theirs"))
    assert (found.energy_offset, found.entry) == (0.0, "")
    numpy.testing.assert_array_equal(found.forces, entry.forces)
    assert read_provenance(tmp_path / "theirs") == {}


def test_batches_do_not_show(tmp_path, monkeypatch):
    write_dataset(tmp_path / "whole", make_entries())
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    write_dataset(tmp_path / "batches", make_entries())
    assert len(open_dataset(tmp_path / "batches").data.table.to_batches()) == len(SHAPES)
    for one, other in zip(*(read_entries(open_dataset(tmp_path / name)) for name in ("whole", "batches")), strict=True):
        assert_equal(one, other)


def test_nothing_stands_there_until_a_shard_is_whole(tmp_path):
    with pytest.raises(RuntimeError, match="half way"), ShardWriter(tmp_path / "shard.arrow") as writer:
        writer.write(make_entries()[0])
        assert not (tmp_path / "shard.arrow").exists()
        raise RuntimeError("half way")
    assert not list(tmp_path.iterdir())


def test_the_fingerprint_is_that_of_the_contents(tmp_path):
    fingerprints = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_dataset(tmp_path / name, make_entries(seed))
        fingerprints.append(read_fingerprint(tmp_path / name))
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_shards_stand_in_their_order_and_nothing_else_stays(tmp_path):
    work = tmp_path / "work"
    (work / "left over").mkdir(parents=True)
    entries = make_entries()
    for i in (2, 0, 1):
        with ShardWriter(work / f"{i}.arrow") as writer:
            writer.write(entries[i])
    finish_dataset(work, [work / f"{i}.arrow" for i in range(3)], tmp_path / "out" / "one", {"stage": "test"})
    assert [entry.smiles for entry in read_entries(open_dataset(tmp_path / "out" / "one"))] == [
        entry.smiles for entry in entries
    ]
    assert read_provenance(tmp_path / "out" / "one") == {"format": module.FORMAT, "stage": "test"}
    assert len(list((tmp_path / "out" / "one").iterdir())) == 3 + 3  # shards; info, provenance, state
    assert list_sources(tmp_path / "out") == ["one"]


def change_json(path: pathlib.Path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_folder_without_data_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/nowhere: no data set"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no data sets"):
        list_sources(tmp_path)


def test_another_format_is_refused(folder):
    change_json(folder / "provenance.json", format=99)
    with pytest.raises(ValueError, match=f"{folder}: data set of format 99, expected {module.FORMAT}"):
        open_dataset(folder)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_damaged_provenance_is_named(folder, text):
    (folder / "provenance.json").write_text(text)
    with pytest.raises(ValueError, match=r"provenance\.json: damaged"):
        read_provenance(folder)


def test_a_column_of_another_type_is_named(tmp_path):
    record = {"smiles": ["C"], "coords": [[1.0]], "energy": [[1.0]], "forces": [[1.0]]}
    features = datasets.Features.from_arrow_schema(
        pyarrow.schema([(name, SCHEMA.field(name).type) for name in record]).set(
            1, pyarrow.field("coords", pyarrow.list_(pyarrow.float32()))
        )
    )
    datasets.Dataset.from_dict(record, features=features).save_to_disk(str(tmp_path / "single"))
    with pytest.raises(ValueError, match=r"column 'coords' is .*float.*, expected list.*double"):
        open_dataset(tmp_path / "single")


def test_lengths_that_do_not_belong_together_are_named(tmp_path):
    entry = make_entries()[1]
    broken = Entry(entry.smiles, entry.coords, entry.energy, entry.forces[:, :-1])
    write_dataset(tmp_path / "broken", [broken])
    with pytest.raises(ValueError, match="row 0, molecule 1: 45 coordinates, 36 force components and 3 energies"):
        list(read_entries(open_dataset(tmp_path / "broken")))


def test_entries_may_lack_energies_or_forces(tmp_path):
    first, second, third = make_entries()
    energies_only = dataclasses.replace(second, forces=numpy.full_like(second.forces, numpy.nan))
    forces_only = dataclasses.replace(third, energy=numpy.full_like(third.energy, numpy.nan), energy_offset=0.0)
    assert (energies_only.has_energies, energies_only.has_forces) == (True, False)
    assert (forces_only.has_energies, forces_only.has_forces) == (False, True)
    write_dataset(tmp_path / "mixed", [first, energies_only, forces_only])
    for found, expected in zip(
        read_entries(open_dataset(tmp_path / "mixed")), (first, energies_only, forces_only), strict=True
    ):
        assert_equal(found, expected)
    assert [row.n_confs for row in index_dataset(tmp_path / "mixed")] == [1, 3, 7]
    assert datasets.load_from_disk(str(tmp_path / "mixed"))[1]["forces"] is None
    chosen = forces_only.select([0, 2])
    assert (chosen.has_energies, chosen.n_confs, chosen.energy_offset) == (False, 2, 0.0)


def test_an_empty_list_of_forces_is_none(tmp_path):
    record = {"smiles": ["C"], "coords": [[1.0, 2.0, 3.0]], "energy": [[1.0]], "forces": [[]]}
    features = datasets.Features.from_arrow_schema(pyarrow.schema([(name, SCHEMA.field(name).type) for name in record]))
    datasets.Dataset.from_dict(record, features=features).save_to_disk(str(tmp_path / "scan"))
    [entry] = read_entries(open_dataset(tmp_path / "scan"))
    assert (entry.has_energies, entry.has_forces, entry.forces.shape) == (True, False, (1, 1, 3))


def test_nan_is_damage_and_nothing_at_all_is_named(tmp_path):
    record = {"smiles": ["C"], "coords": [[1.0, 2.0, 3.0]], "energy": [[1.0]], "forces": [[float("nan")] * 3]}
    features = datasets.Features.from_arrow_schema(pyarrow.schema([(name, SCHEMA.field(name).type) for name in record]))
    datasets.Dataset.from_dict(record, features=features).save_to_disk(str(tmp_path / "damaged"))
    with pytest.raises(ValueError, match="row 0, C: a force component is not finite"):
        list(read_entries(open_dataset(tmp_path / "damaged")))
    entry = make_entries()[0]
    nothing = dataclasses.replace(
        entry, **{n: numpy.full_like(getattr(entry, n), numpy.nan) for n in ("energy", "forces")}
    )
    write_dataset(tmp_path / "nothing", [nothing])
    with pytest.raises(ValueError, match="row 0, molecule 0: has neither energies nor forces"):
        list(read_entries(open_dataset(tmp_path / "nothing")))
