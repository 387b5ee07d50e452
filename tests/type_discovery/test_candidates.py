"""Candidates: each set once, enough molecules on both sides, linear groups left alone."""

import numpy

from common.type_discovery.candidates import TypeOfNow, list_candidates


def make_type(bits: list[list[int]], molecules: list[list[int]], min_molecules: int = 1, linear=()) -> TypeOfNow:
    n = len(bits)
    is_linear = numpy.isin(numpy.arange(n), linear)
    table = numpy.array(bits, dtype=bool)[:, None, :]
    return TypeOfNow(
        numpy.arange(n), numpy.arange(n)[None], table, numpy.array(molecules, dtype=bool), is_linear, min_molecules
    )


EVERYWHERE = [[1, 1, 1]] * 4


def test_equal_sets_and_complements_are_one_candidate():
    type_ = make_type([[1, 1, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]], EVERYWHERE)
    found = list_candidates(type_)
    assert found.members.tolist() == [[True, False, False, False]]
    assert (found.tags.tolist(), found.primitives.tolist()) == ([1], [0])


def test_of_a_set_and_its_complement_the_rarer_is_the_child():
    molecules = [[1, 1, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0]]
    type_ = make_type([[1, 0], [0, 1], [0, 1], [0, 1]], molecules)
    [members] = list_candidates(type_).members.tolist()
    assert members == [False, True, True, True]


def test_enough_molecules_must_have_the_child_and_the_rest():
    molecules = [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]]
    bits = [[1, 1], [0, 1], [0, 0], [0, 0]]
    assert len(list_candidates(make_type(bits, molecules, 2)).members) == 1  # the first has one molecule alone
    assert len(list_candidates(make_type(bits, molecules, 1)).members) == 2


def test_a_set_with_a_linear_group_is_none():
    type_ = make_type([[1, 0], [0, 1], [0, 0], [0, 0]], EVERYWHERE, linear=[0])
    assert list_candidates(type_).members.tolist() == [[False, True, False, False]]


def test_a_type_falls_into_child_and_rest():
    type_ = make_type([[1], [0], [1], [0]], EVERYWHERE)
    child, rest = type_.make_child(numpy.array([0, 2])), type_.without(numpy.array([0, 2]))
    assert (child.leaves.tolist(), rest.leaves.tolist()) == ([0, 2], [1, 3])
    assert type_.get_columns(numpy.array([3])).tolist() == [[3]]
