"""Candidates for the tests of this room: the exact potential, a learned one, and one that is wrong."""

import dataclasses

from common.potentials.site_functions import SiteTerm
from common.rollouts.candidates import Candidate, make_exact_candidate
from tests.coarse_graining.samples import make_learned, make_trajectories


def make_exact() -> Candidate:
    exact = make_exact_candidate(make_trajectories().system)
    assert exact is not None
    return exact


def make_learned_candidate() -> Candidate:
    further = {"method": "trajectory", "inputs": "points", "frame_stride": 2}
    config = {"batch_length": 3, "nn_depth": 2, "nn_width": 8}
    return Candidate("learned", make_learned(), None, {"further": further, "config": config})


def make_wrong() -> Candidate:
    """The sites with twice the depth."""
    system = make_trajectories().system
    [first, *rest] = system.site_terms
    parameters = {**first.parameters, "epsilon": {k: 4.0 * v for k, v in first.parameters["epsilon"].items()}}
    terms = (SiteTerm(first.function, parameters), *rest)
    return Candidate("wrong", None, dataclasses.replace(system, site_terms=terms), {})
