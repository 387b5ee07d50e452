"""Where the next atom goes: a draw from a grid around the focus, by bounds and without most of the grid.

Each node k that predicts says how likely the next atom is at each distance from it. A point r has

    log p(r) = Σ_k log p_k(bin(|r - r_k|)),    weight exp(log p(r) / T)

on a grid with the focus at its centre, turned at random so that no lattice shows. Of its 150,000 points a few hundred
have any weight. The grid is cut into cubes; over a cube the distance from a node changes by no more than its diagonal,
so that the largest log p_k of the bins within reach bounds that of all points in it. The cube with the best bound is
opened first, then all those in which a point may come within ``DROPPED * T`` of the best one: what is left out has a
share of at most n_points exp(-DROPPED), 3e-4 for the usual grid, whatever the predictions.
"""

import dataclasses
import math

import numba
import numpy

DROPPED = 20.0
"""A point whose weight is exp(-DROPPED) of the best one's may be left out."""

CUBE = 4
"""Points along an edge of a cube."""

N_UNIFORM = 4
"""Random numbers for a placement: three turn the grid, one draws the point."""


@dataclasses.dataclass(frozen=True)
class GridSettings:
    """The points that are weighed.

    Attributes:
        least_distance: [Angstrom] of the next atom from the focus.
        spacing: [Angstrom] between points.
        temperature: below 1 the likely places become likelier.
    """

    least_distance: float = 0.7
    spacing: float = 0.05
    temperature: float = 0.1


@dataclasses.dataclass(frozen=True)
class Grid:
    """Points around the focus, cube by cube.

    Attributes:
        points: [Angstrom] ``shape=(n_points, 3)``, the focus at zero.
        starts: the first point of each cube, and ``n_points``, ``shape=(n_cubes + 1,)``.
        centres: [Angstrom] of the cubes, ``shape=(n_cubes, 3)``.
        reach: [Angstrom] no point is further from the centre of its cube.
        temperature: of the draw.
    """

    points: numpy.ndarray
    starts: numpy.ndarray
    centres: numpy.ndarray
    reach: float
    temperature: float


def build_grid(settings: GridSettings, placement_cutoff: float) -> Grid:
    """The grid of points between the least distance and the placement cutoff.

    Raises:
        ValueError: there is no point, or a setting is not positive.
    """
    if not (settings.spacing > 0.0 and settings.temperature > 0.0 and settings.least_distance >= 0.0):
        raise ValueError(
            "the spacing and the temperature of the grid must be positive, its least distance not negative"
        )
    n_steps = math.floor(placement_cutoff / settings.spacing + 1e-9)
    axis = numpy.arange(-n_steps, n_steps + 1)
    index = numpy.stack(numpy.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    radii = settings.spacing * numpy.sqrt((index * index).sum(axis=1))
    index = index[(radii >= settings.least_distance - 1e-9) & (radii <= placement_cutoff + 1e-9)]
    if not len(index):
        raise ValueError(
            f"no point of the grid lies between {settings.least_distance:g} and {placement_cutoff:g} Å from the focus"
        )
    cubes, cube_of_point = numpy.unique((index + n_steps) // CUBE, axis=0, return_inverse=True)
    order = numpy.argsort(cube_of_point, kind="stable")
    return Grid(
        settings.spacing * index[order],
        numpy.concatenate([[0], numpy.cumsum(numpy.bincount(cube_of_point))]),
        settings.spacing * (CUBE * cubes - n_steps + 0.5 * (CUBE - 1)),
        settings.spacing * 0.5 * (CUBE - 1) * math.sqrt(3.0),
        settings.temperature,
    )


def compute_log_weights(
    points: numpy.ndarray, nodes: numpy.ndarray, log_probabilities: numpy.ndarray, bin_width: float
) -> numpy.ndarray:
    """The log p of every point, the long way.

    Args:
        points: [Angstrom] ``shape=(n_points, 3)``.
        nodes: [Angstrom] where those that predict are, ``shape=(n_nodes, 3)``.
        log_probabilities: of the bins, by node, ``shape=(n_nodes, n_bins)``.
        bin_width: [Angstrom].

    Returns:
        ``shape=(n_points,)``.
    """
    total = numpy.zeros(len(points))
    for node, own in zip(nodes, log_probabilities, strict=True):
        distances = numpy.linalg.norm(points - node, axis=1)
        bins = numpy.minimum(numpy.floor(distances / bin_width + 0.5).astype(numpy.int64), own.size - 1)
        total += own[bins]
    return total


def draw_position(
    grid: Grid, nodes: numpy.ndarray, log_probabilities: numpy.ndarray, bin_width: float, uniform: numpy.ndarray
) -> numpy.ndarray:
    """Where the next atom goes, relative to the focus.

    Args:
        grid: what :func:`build_grid` gives.
        nodes: [Angstrom] relative to the focus, ``shape=(n_nodes, 3)``.
        log_probabilities: ``shape=(n_nodes, n_bins)``.
        bin_width: [Angstrom].
        uniform: random numbers between 0 and 1, ``shape=(N_UNIFORM,)``.

    Returns:
        [Angstrom] ``shape=(3,)``.
    """
    rotation = make_rotation(uniform[:3])
    turned = numpy.ascontiguousarray(nodes @ rotation)
    indices, log_weights = find_likely_points(grid, turned, log_probabilities, bin_width)
    chosen = _choose(log_weights, grid.temperature, uniform[3])
    return rotation @ grid.points[indices[chosen]]


def find_likely_points(
    grid: Grid, nodes: numpy.ndarray, log_probabilities: numpy.ndarray, bin_width: float
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The points with weight, see the module's docstring; arguments as :func:`draw_position`.

    Returns:
        their indices, ``shape=(n,)``, and log p, ``shape=(n,)``.
    """
    return _open_cubes(
        *(grid.points, grid.starts, grid.centres, nodes, log_probabilities.astype(numpy.float64), bin_width),
        *(math.ceil(grid.reach / bin_width), DROPPED * grid.temperature),
    )


def make_rotation(uniform: numpy.ndarray) -> numpy.ndarray:
    """A rotation matrix, uniform among all, from three uniform numbers (K. Shoemake, Graphics Gems III, 124, 1992)."""
    a, b = math.sqrt(1.0 - uniform[0]), math.sqrt(uniform[0])
    first, second = 2.0 * math.pi * uniform[1], 2.0 * math.pi * uniform[2]
    x, y, z, w = a * math.sin(first), a * math.cos(first), b * math.sin(second), b * math.cos(second)
    return numpy.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )


@numba.njit(cache=True)
def _choose(log_weights, temperature, uniform):  # pragma: no cover
    """A point by its weight."""
    cumulative = numpy.cumsum(numpy.exp((log_weights - log_weights.max()) / temperature))
    return min(numpy.searchsorted(cumulative, uniform * cumulative[-1], side="right"), len(log_weights) - 1)


@numba.njit(cache=True)
def _get_bin(x, y, z, node, bin_width, n_bins):  # pragma: no cover
    dx, dy, dz = x - node[0], y - node[1], z - node[2]
    return min(int(numpy.sqrt(dx * dx + dy * dy + dz * dz) / bin_width + 0.5), n_bins - 1)


@numba.njit(cache=True)
def _open_cubes(points, starts, centres, nodes, log_probabilities, bin_width, reach, margin):  # pragma: no cover
    n_nodes, n_bins = log_probabilities.shape
    highest = numpy.empty((n_nodes, n_bins))  # log p_k at the best bin within reach
    for k in range(n_nodes):
        for b in range(n_bins):
            highest[k, b] = log_probabilities[k, max(0, b - reach) : b + reach + 1].max()
    bounds = numpy.zeros(len(centres))
    for cube in range(len(centres)):
        x, y, z = centres[cube]
        for k in range(n_nodes):
            bounds[cube] += highest[k, _get_bin(x, y, z, nodes[k], bin_width, n_bins)]
    indices, log_weights = numpy.empty(len(points), numpy.int64), numpy.empty(len(points))
    n_found, best, first = 0, -numpy.inf, int(bounds.argmax())
    for i in range(-1, len(centres)):
        cube = first if i < 0 else i
        if i == first or bounds[cube] < best - margin:
            continue
        for point in range(starts[cube], starts[cube + 1]):
            x, y, z = points[point]
            total = 0.0
            for k in range(n_nodes):
                total += log_probabilities[k, _get_bin(x, y, z, nodes[k], bin_width, n_bins)]
            if total >= best - margin:
                indices[n_found], log_weights[n_found] = point, total
                n_found += 1
                best = max(best, total)
    is_likely = log_weights[:n_found] >= best - margin
    return indices[:n_found][is_likely], log_weights[:n_found][is_likely]
