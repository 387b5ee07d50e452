"""What all formats share: shapes, units, signs, and which conformers go together."""

import numpy
import pytest

from common.own_data.records import InputError, Reading, collect_blocks, make_frames
from common.own_data.units import parse_units

READING = Reading(parse_units("hartree", "bohr"))


def test_gradients_change_their_sign_and_units_are_converted():
    arrays = (numpy.ones((2, 3, 3)), [1.0, 2.0], numpy.ones((2, 3, 3)))
    frames = make_frames([8, 1, 1], *arrays, READING)
    turned = make_frames([8, 1, 1], *arrays, Reading(READING.units, gradients=True))
    numpy.testing.assert_array_equal(turned.forces, -frames.forces)
    numpy.testing.assert_array_equal(turned.coords, frames.coords)
    assert frames.coords[0, 0, 0] == READING.units.length
    assert frames.energy[1] == 2.0 * READING.units.energy


def test_without_forces_there_is_nothing_in_their_place():
    frames = make_frames([1, 1], numpy.zeros((1, 2, 3)), [0.0], None, READING)
    assert numpy.isnan(frames.forces).all()


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(InputError, match="coordinates of shape"):
        make_frames([1, 1], numpy.zeros((3, 2, 3)), [0.0], None, READING)


def test_conformers_go_together_by_smiles_or_by_name():
    conformers = [
        ("first", "O", None, ("O", "H", "H"), 0),
        ("second", "O", None, ("O", "H", "H"), 1),
        ("third", "O", None, ("H", "O", "H"), 2),
        ("a", "", None, ("C",), 3),
        ("b", "", None, ("C",), 4),
        ("a", "", None, ("C",), 5),
        ("", "", None, ("N",), 6),
    ]
    blocks = collect_blocks("water.xyz", conformers)
    assert [(block.name, block.places) for block in blocks] == [
        ("first", (0, 1)), ("third", (2,)), ("a", (3, 5)), ("b", (4,)), ("water", (6,)),
    ]  # fmt: skip
