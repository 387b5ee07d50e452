"""Which rotations bring one set of labelled points onto another, and so which rotations a body is symmetric under.

Points of one label are alike and may trade places. A rotation is fixed by where two points go that are not on one line
with the centre: all places of such a pair are tried, and what fits is refined over all points by the rotation of Kabsch
(Acta Cryst. A32, 922, 1976).
"""

import collections.abc
import typing

import numpy

TOLERANCE = 1e-2
"""Points at most so far from where they should be count as there, as a part of the largest distance from the centre."""


class Superposition(typing.NamedTuple):
    """A rotation that brings points onto others.

    Attributes:
        rotation: ``shape=(3, 3)``, proper; ``points @ rotation.T`` lie on the others.
        order: ``shape=(n_points,)``, point i comes to lie on ``others[order[i]]``.
        deviation: the largest distance that is left.
    """

    rotation: numpy.ndarray
    order: numpy.ndarray
    deviation: float


def superpose(points: numpy.ndarray, others: numpy.ndarray) -> numpy.ndarray:
    """The proper rotation, ``shape=(3, 3)``, that brings point i nearest to other i; the centres stay where they are.

    Args:
        points, others: ``shape=(n_points, 3)``, about their centres.
    """
    u, _, vt = numpy.linalg.svd(others.T @ points)
    u[:, 2] *= numpy.sign(numpy.linalg.det(u) * numpy.linalg.det(vt))  # no reflection
    return u @ vt


def find_superpositions(
    points: numpy.ndarray,
    others: numpy.ndarray,
    labels: collections.abc.Sequence[str],
    other_labels: collections.abc.Sequence[str],
) -> list[Superposition]:
    """All proper rotations that bring labelled points onto others, each once, the best first.

    Where all points lie on one line with the centre, the rotations about this line are one, whichever is found.

    Args:
        points, others: ``shape=(n_points, 3)``, about their centres.
        labels, other_labels: what each point is; only the same comes onto the same.

    Returns:
        the rotations; none where the points are not the same body.
    """
    if sorted(labels) != sorted(other_labels):
        return []
    size = float(numpy.linalg.norm(points, axis=1).max())
    if size == 0.0:
        return [Superposition(numpy.eye(3), numpy.arange(len(points)), 0.0)]
    tolerance = TOLERANCE * size
    same = numpy.array([[a == b for b in other_labels] for a in labels])
    found: list[Superposition] = []
    for rotation in _propose_rotations(points, others, same, tolerance):
        order = _match(points @ rotation.T, others, same, tolerance)
        if order is None or any(numpy.array_equal(order, other.order) for other in found):
            continue
        rotation = superpose(points, others[order])
        deviation = float(numpy.linalg.norm(points @ rotation.T - others[order], axis=1).max())
        found.append(Superposition(rotation, order, deviation))
    return sorted(found, key=lambda one: one.deviation)


def _propose_rotations(
    points: numpy.ndarray, others: numpy.ndarray, same: numpy.ndarray, tolerance: float
) -> collections.abc.Iterator[numpy.ndarray]:
    """The rotations that bring two chosen points onto any two of the others that are as far out and as far apart."""
    first, second = _choose_two(points)
    radii, other_radii = numpy.linalg.norm(points, axis=1), numpy.linalg.norm(others, axis=1)
    if second is None:
        for i in numpy.flatnonzero(same[first] & (abs(other_radii - radii[first]) < 2.0 * tolerance)):
            yield superpose(points[[first]], others[[i]])
        return
    distance = numpy.linalg.norm(points[first] - points[second])
    for i in numpy.flatnonzero(same[first] & (abs(other_radii - radii[first]) < 2.0 * tolerance)):
        distances = numpy.linalg.norm(others - others[i], axis=1)
        fits = same[second] & (abs(other_radii - radii[second]) < 2.0 * tolerance)
        for j in numpy.flatnonzero(fits & (abs(distances - distance) < 4.0 * tolerance)):
            yield superpose(points[[first, second]], others[[i, j]])


def _choose_two(points: numpy.ndarray) -> tuple[int, int | None]:
    """The point farthest out, and the one farthest from the line through it and the centre; None where all are on it.

    Of points about as far out, as those of a ring are, the first counts.
    """
    radii = numpy.linalg.norm(points, axis=1)
    first = int(numpy.flatnonzero(radii > (1.0 - TOLERANCE) * radii.max())[0])
    across = numpy.linalg.norm(numpy.cross(points, points[first] / radii[first]), axis=1)
    if across.max() < TOLERANCE * radii.max():
        return first, None
    return first, int(numpy.flatnonzero(across > (1.0 - TOLERANCE) * across.max())[0])


def _match(moved: numpy.ndarray, others: numpy.ndarray, same: numpy.ndarray, tolerance: float) -> numpy.ndarray | None:
    """Which of the others each point lies on, ``shape=(n_points,)``; None where one lies on none."""
    distances = numpy.where(same, numpy.linalg.norm(moved[:, None] - others[None], axis=2), numpy.inf)
    order = distances.argmin(axis=1)
    fits = (distances[numpy.arange(len(moved)), order] < 3.0 * tolerance).all()
    return order if fits and len(set(order.tolist())) == len(order) else None
