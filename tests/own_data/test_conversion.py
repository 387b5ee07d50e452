"""Blocks -> shards: what is left out and why, parts of long trajectories, doubts."""

import dataclasses
import pathlib

import numpy
import pyarrow
import pytest

from common.own_data.conversion import Import, cut_blocks, import_slice, name_block
from common.own_data.formats import find_all_blocks
from common.own_data.records import Block, Reading
from common.own_data.units import parse_units
from tests.own_data.samples import get_total, list_numbers, read_samples

READING = Reading(parse_units("kcal/mol", "angstrom"))
ENTRY = read_samples()["n-methylacetamide"]


def run(tmp_path, max_confs: int = 100, **arrays) -> dict:
    values = {"R": ENTRY.coords, "z": list_numbers(ENTRY), "E": get_total(ENTRY), "F": ENTRY.forces, **arrays}
    numpy.savez(tmp_path / "mine.npz", **values)
    blocks = cut_blocks(find_all_blocks("npz", [tmp_path / "mine.npz"], READING), max_confs)
    return import_slice(Import("own", "npz", READING), blocks, tmp_path / "shard.arrow")


def test_conformers_that_cannot_be_used_are_counted_by_reason(tmp_path):
    forces, energy, coords = ENTRY.forces.copy(), get_total(ENTRY), ENTRY.coords.copy()
    forces[0] = numpy.nan
    energy[1] = numpy.inf
    coords[2, 0] = coords[2, 1]
    result = run(tmp_path, F=forces, E=energy, R=coords)
    assert result["dropped"] == {
        "own/mine": {"coordinates, energy or forces not finite": 1, "atoms closer than 0.4 A": 1}
    }
    assert [row["n_confs"] for row in result["rows"]] == [ENTRY.n_confs - 3, 1]  # the other one has an energy alone


def test_where_nothing_is_left_the_reason_is_given(tmp_path):
    nothing = {"F": numpy.full_like(ENTRY.forces, numpy.nan), "E": numpy.full(ENTRY.n_confs, numpy.nan)}
    result = run(tmp_path, **nothing)
    n_confs = ENTRY.n_confs
    assert result["failed"] == {
        "own/mine": f"no conformer is left of {n_confs}: {n_confs} with neither energy nor forces"
    }


@pytest.mark.parametrize(("name", "has_energies", "has_forces"), [("F", True, False), ("E", False, True)])
def test_energies_alone_and_forces_alone_are_entries_of_their_own(tmp_path, name, has_energies, has_forces):
    values = {"F": ENTRY.forces, "E": get_total(ENTRY)}[name].copy()
    values[2:] = numpy.nan
    result = run(tmp_path, **{name: values})
    assert [(row["name"], row["n_confs"]) for row in result["rows"]] == [
        ("own/mine:1", 2), ("own/mine:2", ENTRY.n_confs - 2),
    ]  # fmt: skip
    with pyarrow.OSFile(str(tmp_path / "shard.arrow")) as file, pyarrow.ipc.open_stream(file) as stream:
        table = stream.read_all()
    second = {column: table.column(column)[1] for column in ("energy", "forces")}
    assert (second["energy"].values.null_count == 0) == has_energies
    assert second["forces"].is_valid == has_forces


def test_long_trajectories_become_several_entries(tmp_path):
    result = run(tmp_path, max_confs=2)
    names = [row["name"] for row in result["rows"]]
    assert names == [f"own/mine/{i}" for i in range(1, (ENTRY.n_confs + 1) // 2 + 1)]
    assert sum(row["n_confs"] for row in result["rows"]) == ENTRY.n_confs


@pytest.mark.parametrize(("change", "kind"), [(-1.0, "gradients"), (4.184, "kJ/mol")])
def test_forces_that_look_wrong_are_doubted(tmp_path, change, kind):
    assert not run(tmp_path)["doubts"]
    result = run(tmp_path, F=change * ENTRY.forces, E=(abs(change) * ENTRY.energy + ENTRY.energy_offset))
    assert list(result["doubts"]["own/mine"]) == [kind]


def test_files_are_part_of_the_names_where_there_are_several():
    block = Block(pathlib.Path("a.b.npz"), "x", 3, range(3), part=2)
    what = Import("own", "npz", READING)
    assert name_block(what, block) == "own/x/2"
    assert name_block(dataclasses.replace(what, has_files=True), block) == "own/a/x/2"
