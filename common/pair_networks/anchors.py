"""A few anchor points of a body that stand for its sites, with all of its symmetry.

Sites are merged from the closest upwards, all pairs at one distance at once, so that the body's own rotations still
only exchange points: the hydrogens of benzene merge with their carbons into one ring of six. Merging ends before there
would be fewer points than asked for, or before the points would lose a dimension of the body.
"""

import dataclasses

import numpy

from common.geometry.bodies import Body

SAME_DISTANCE = 1e-3
"""Distances that differ by less, as a part of the smallest, are the same."""

FLAT = 1e-2
"""Points lie in a plane, or on a line, where their extent across it is less than this part of the largest."""


@dataclasses.dataclass(frozen=True)
class Anchors:
    """Points of a body along its own axes, in groups that its own rotations map on themselves.

    Attributes:
        points: ``shape=(n_points, 3)``, group by group.
        sizes: of the groups.
    """

    points: numpy.ndarray
    sizes: tuple[int, ...]


def choose_anchors(body: Body, n_points: int) -> Anchors:
    """The fewest points, but no fewer than ``n_points`` where the body has as many sites."""
    points, members = body.sites, [[i] for i in range(body.n_sites)]
    rank = _find_rank(body.sites)
    while len(members) > 1:
        merged = _merge_closest(points, members)
        centres = numpy.array([body.sites[own].mean(axis=0) for own in merged])
        if len(merged) < n_points or _find_rank(centres) < rank:
            break
        points, members = centres, merged
    labels = ["+".join(sorted(body.labels[i] for i in own)) for own in members]
    orbits: dict[int, list[int]] = {}
    rotations = [one.rotation for one in body.own_rotations]
    for i in range(len(points)):
        images = [_find_nearest(points, points[i] @ rotation.T) for rotation in rotations]
        orbits.setdefault(min(images), []).append(i)
    order = [i for own in orbits.values() for i in own]
    anchors = Anchors(points[order], tuple(len(own) for own in orbits.values()))
    _check_symmetry(body, anchors, [labels[i] for i in order])
    return anchors


def _check_symmetry(body: Body, anchors: Anchors, labels: list[str]) -> None:
    """The points must be mapped on themselves by each of the body's rotations."""
    for one in body.own_rotations:
        moved = anchors.points @ one.rotation.T
        distances = numpy.linalg.norm(moved[:, None] - anchors.points[None], axis=2).min(axis=1)
        if distances.max() > 1e-6 * max(1.0, abs(anchors.points).max()):
            raise AssertionError(f"{body.name}: the anchor points {labels} are not as symmetric as the body")


def _find_nearest(points: numpy.ndarray, place: numpy.ndarray) -> int:
    return int(numpy.linalg.norm(points - place, axis=1).argmin())


def _find_rank(points: numpy.ndarray) -> int:
    """How many dimensions the points and the centre of mass take up."""
    extents = numpy.linalg.svd(points, compute_uv=False)
    return int((extents > FLAT * extents[0]).sum()) if extents[0] > 0.0 else 0


def _merge_closest(points: numpy.ndarray, members: list[list[int]]) -> list[list[int]]:
    """The groups of sites after all pairs of points at the smallest distance have been joined."""
    distances = numpy.linalg.norm(points[:, None] - points[None], axis=2)
    numpy.fill_diagonal(distances, numpy.inf)
    joined = list(range(len(points)))
    for i, j in numpy.argwhere(distances < (1.0 + SAME_DISTANCE) * distances.min()):
        old, new = joined[j], joined[i]
        joined = [new if one == old else one for one in joined]
    groups: dict[int, list[int]] = {}
    for own, group in zip(members, joined, strict=True):
        groups.setdefault(group, []).extend(own)
    return list(groups.values())
