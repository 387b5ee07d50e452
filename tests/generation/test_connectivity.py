"""Molecules that fall to pieces are told apart."""

import numpy

from common.data.molecule_database import Molecule
from common.generation.connectivity import find_connected


def test_molecules_that_fall_apart_are_counted_by_the_elements_at_the_gap():
    water = Molecule(numpy.array([8, 1, 1]), numpy.array([[0.0, 0, 0], [0, 0.76, 0.59], [0, -0.76, 0.59]]))
    stretched = Molecule(numpy.array([9, 9]), numpy.array([[0.0, 0, 0], [0, 0, 1.42]]))
    pieces = Molecule(numpy.array([8, 1, 6, 9]), numpy.array([[0.0, 0, 0], [0, 0, 0.96], [0, 0, 3.0], [0, 0, 4.3]]))
    found = find_connected([water, stretched, pieces], 1.7, 1.1)
    assert found.is_connected.tolist() == [True, False, False]
    assert found.gaps == {"F-F": 1, "C-H": 1}
    assert find_connected([stretched], 1.7, None).is_connected.all()
