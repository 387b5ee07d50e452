"""Splits in words and SMIRKS; the real matching of refined files is tested in test_leaves.py."""

import numpy

from common.type_discovery.leaves import Leaves
from common.type_discovery.primitives import Primitive
from common.type_discovery.refinement import describe_splits, find_parents
from common.type_discovery.search import Step


def test_children_of_children_and_siblings_have_the_right_parents():
    primitives = (Primitive("r5", "in a five-membered ring"), Primitive("+1", "charge +1"))
    leaves = Leaves(primitives, numpy.zeros((0, 2)), (), numpy.zeros(0), numpy.zeros(0), {}, None, None)
    starting = [("Bonds", "[#6:1]-[#6:2]"), ("Angles", "[*:1]~[#6:2]~[*:3]")]
    steps = [
        Step(1, 2, 0, numpy.array([0]), 3.0, None),
        Step(2, 3, 1, numpy.array([0]), 2.0, 5.0),  # the child of the first step
        Step(1, 1, 1, numpy.array([1]), 1.0, None),
        Step(0, 1, 0, numpy.array([2]), 0.5, None),
    ]
    splits = describe_splits(steps, leaves, starting)
    assert [(split.type, split.parent, split.child) for split in splits] == [
        ("Angles", "[*:1]~[#6:2]~[*:3]", "[*:1]~[#6;r5:2]~[*:3]"),
        ("Angles", "[*:1]~[#6;r5:2]~[*:3]", "[*:1]~[#6;r5:2]~[*;+1:3]"),
        ("Angles", "[*:1]~[#6:2]~[*:3]", "[*;+1:1]~[#6:2]~[*:3]"),
        ("Bonds", "[#6:1]-[#6:2]", "[#6;r5:1]-[#6:2]"),
    ]
    assert splits[0].words == "atom 2: in a five-membered ring"
    assert (splits[1].gain, splits[1].loss_held_out) == (2.0, 5.0)
    assert find_parents(splits)["Angles", "[*:1]~[#6;r5:2]~[*;+1:3]"] == "[*:1]~[#6;r5:2]~[*:3]"
