"""The database that molecules are generated into, block by block."""

import numpy
import pytest

from common.data.molecule_database import read_database
from common.generation.generated import BLOCK_SIZE, GeneratedDatabase, iterate_missing, plan_blocks
from common.generation.sampling import Generated
from common.generators.conditions import Condition
from tests.generators.made_up import make_geometry

TYPES = (1, 6, 8)

CONDITIONS = (Condition("gap"), Condition("formula", kind="composition"), Condition("fp", kind="vector", n_inputs=2))

SETTINGS = {"generator": "abc", "types": list(TYPES), "seed": 0}


def make_targets(gap):
    return {"gap": numpy.array([gap]), "formula": numpy.array([6.0, 2.0, 1.0]), "fp": numpy.array([0.5, 1.0])}


def make_generated(numbers, finished=True):
    own = make_geometry("CCO")
    return [Generated(number, own.numbers, own.coords, finished) for number in numbers]


def test_blocks_hold_every_molecule_once_in_order():
    blocks = plan_blocks([make_targets(1.0), make_targets(2.0)], BLOCK_SIZE + 3)
    numbers = [block.first + i for block in blocks for i in range(block.n_molecules)]
    assert numbers == list(range(2 * (BLOCK_SIZE + 3)))
    assert [block.targets["gap"][0] for block in blocks] == [1.0, 1.0, 2.0, 2.0]
    assert [block.number for block in blocks] == [0, 1, 2, 3]


def test_what_is_missing_is_what_was_not_added(tmp_path):
    blocks = plan_blocks([make_targets(1.0), make_targets(2.0)], 3)
    database = GeneratedDatabase(tmp_path / "some" / "one.db", SETTINGS, CONDITIONS)
    database.add(blocks[1], [*make_generated([3, 5]), *make_generated([4], finished=False)])
    again = GeneratedDatabase(tmp_path / "some" / "one.db", SETTINGS, CONDITIONS)
    assert again.finished == {1: 1}
    assert list(iterate_missing(blocks, again)) == [blocks[0]]
    found = read_database(tmp_path / "some" / "one.db")
    assert [one.data["number"] for one in found.molecules] == [3, 5]
    assert found.molecules[0].data["targets"] == {"gap": 2.0, "formula": "C2H6O", "fp": [0.5, 1.0]}


def test_a_block_that_cannot_be_written_whole_is_not_there(tmp_path):
    (block,) = plan_blocks([make_targets(1.0)], 2)
    database = GeneratedDatabase(tmp_path / "one.db", SETTINGS, CONDITIONS)
    good, bad = make_generated([0, 1])
    with pytest.raises(ValueError, match="wrong length"):  # as ASE says it
        database.add(block, [good, bad._replace(coords=bad.coords[:-1])])
    again = GeneratedDatabase(tmp_path / "one.db", SETTINGS, CONDITIONS)
    assert again.finished == {}
    assert read_database(tmp_path / "one.db").molecules == []


def test_molecules_of_others_are_not_added_to(tmp_path):
    GeneratedDatabase(tmp_path / "one.db", SETTINGS, CONDITIONS)
    with pytest.raises(ValueError, match="was generated with seed 0, now 1; name another output"):
        GeneratedDatabase(tmp_path / "one.db", {**SETTINGS, "seed": 1}, CONDITIONS)
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at " * 50)
    with pytest.raises(ValueError, match="no ASE database"):
        GeneratedDatabase(tmp_path / "text.db", SETTINGS, CONDITIONS)
