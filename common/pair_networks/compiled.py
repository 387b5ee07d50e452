"""The function of ``points`` and its gradient in one compiled pass, where no derivative by weights is to follow.

Torch makes arrays of all distances, densities and hidden numbers of a batch, and goes through them some fifty times.
Here a few pairs at a time are taken through the whole network and back while their numbers are in the processor's
nearest memory. Pairs lie side by side as lanes, last in every array, so that each loop over them is a few vector
instructions; for the same reason the exponential is written out. Everything is in float64; the formulas are those of
:mod:`common.pair_networks.models`.
"""

import math
import typing

import numba
import numpy

JIT = numba.njit(cache=True, fastmath={"contract"}, error_model="numpy")
"""Products and sums may be contracted, and nothing else: the exponential rounds by adding a large number."""

N_LANES = 16
"""Pairs that are taken through at once."""

ROUNDER = 1.5 * 2.0**52
"""Added to a number of moderate size, it leaves the nearest integer in the lowest bits."""

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts: n times the first is exact."""

LARGEST = 700.0
"""Exponents beyond this, of either sign, are taken for it."""

SILU, TANH, SOFTPLUS, SIGMOID = range(4)

CODES = {"silu": SILU, "tanh": TANH, "softplus": SOFTPLUS, "sigmoid": SIGMOID}
"""Of the activations."""


class PointNetwork(typing.NamedTuple):
    """All numbers of the function, as arrays; points of the first body, then of the second.

    Attributes:
        points: along the bodies' own axes, ``shape=(n_points, 3)``.
        n_first: how many of them belong to the first body.
        groups: of each point, among those of its body, ``shape=(n_points,)`` int64.
        layer_ends: the first layers act on these points one after the other: where the points of each end.
        centres: of the Gaussians, of ln r, ``shape=(n_radial,)``.
        sharpness: one over the square of their width.
        first_weights: ``shape=(n_layers, width, n_inputs)``: inputs by group of the other body's points, then by k.
        first_transposed: ``shape=(n_layers, n_inputs, width)``.
        first_biases: ``shape=(n_layers, width)``.
        weights: of the layers behind the mean, ``shape=(n_hidden, width, width)``.
        transposed: each of them.
        biases: ``shape=(n_hidden, width)``.
        last: ``shape=(width,)``.
        linear: of the path beside these layers, ``shape=(width,)``.
        activation: one of ``CODES``.
    """

    points: numpy.ndarray
    n_first: int
    groups: numpy.ndarray
    layer_ends: numpy.ndarray
    centres: numpy.ndarray
    sharpness: float
    first_weights: numpy.ndarray
    first_transposed: numpy.ndarray
    first_biases: numpy.ndarray
    weights: numpy.ndarray
    transposed: numpy.ndarray
    biases: numpy.ndarray
    last: numpy.ndarray
    linear: numpy.ndarray
    activation: int


class PointGradient(typing.NamedTuple):
    """Values ``(n_pairs,)``, forces on the second body, torques along the bodies' own axes, ``(n_pairs, 3)`` each."""

    values: numpy.ndarray
    forces: numpy.ndarray
    first_torques: numpy.ndarray
    second_torques: numpy.ndarray


def differentiate_points(
    network: PointNetwork, d: numpy.ndarray, first: numpy.ndarray, second: numpy.ndarray
) -> PointGradient:
    """Values, forces and torques of pairs.

    Args:
        network: the function.
        d: [length] from the first bodies to the second, ``shape=(n_pairs, 3)`` float64.
        first, second: rotation matrices of the bodies, ``shape=(n_pairs, 3, 3)`` float64.
    """
    n_pairs, n_points, n_radial = len(d), len(network.points), len(network.centres)
    shape = network.n_first, n_points - network.n_first
    n_hidden, width, _ = network.weights.shape
    n_inputs = network.first_weights.shape[2]
    scratch = numpy.empty(N_LANES * max(shape[0] * shape[1] * n_radial, n_points * width))
    work = _Work(
        places=numpy.empty((n_points, 3, N_LANES)),
        separations=numpy.empty((*shape, 3, N_LANES)),
        squares=numpy.empty((*shape, N_LANES)),
        logarithms=numpy.empty((*shape, N_LANES)),
        radial=numpy.empty((*shape, n_radial, N_LANES)),
        densities=numpy.empty((n_inputs, n_points * N_LANES)),
        on_densities=numpy.empty((n_inputs, n_points * N_LANES)),
        hidden=numpy.empty((width, n_points * N_LANES)),
        slopes=numpy.empty((width, n_points * N_LANES)),
        deep=numpy.empty((n_hidden + 1, width, N_LANES)),
        deep_slopes=numpy.empty((n_hidden, width, N_LANES)),
        on_deep=numpy.empty((2, width, N_LANES)),
        pulls=numpy.empty((n_points, 3, N_LANES)),
        gates=numpy.empty_like(scratch),
        scratch=scratch,
        bits=scratch.view(numpy.int64),
    )
    found = PointGradient(numpy.empty(n_pairs), *(numpy.empty((n_pairs, 3)) for _ in range(3)))
    _differentiate(network, work, d, first, second, found)
    return found


class _Work(typing.NamedTuple):
    """Numbers of the pairs that are under way; lanes last, points before them."""

    places: numpy.ndarray
    separations: numpy.ndarray
    squares: numpy.ndarray
    logarithms: numpy.ndarray
    radial: numpy.ndarray
    densities: numpy.ndarray
    on_densities: numpy.ndarray
    hidden: numpy.ndarray
    slopes: numpy.ndarray
    deep: numpy.ndarray
    deep_slopes: numpy.ndarray
    on_deep: numpy.ndarray
    pulls: numpy.ndarray
    gates: numpy.ndarray
    scratch: numpy.ndarray
    bits: numpy.ndarray


@JIT
def _exponentiate(x: numpy.ndarray, scratch: numpy.ndarray, bits: numpy.ndarray) -> None:
    """exp, in place: x = n ln 2 + r with |r| <= ln 2 / 2, a Taylor series of r, and n into the exponent's bits.

    Args:
        x: ``shape=(n,)``.
        scratch: as long, at least.
        bits: the same memory, as int64.
    """
    n = len(x)
    for i in range(n):
        clamped = min(max(x[i], -LARGEST), LARGEST)
        shifted = clamped * 1.4426950408889634 + ROUNDER
        scratch[i] = shifted
        whole = shifted - ROUNDER
        r = (clamped - whole * LN2_HIGH) - whole * LN2_LOW
        p = 1.0 / 479001600.0
        p = p * r + 1.0 / 39916800.0
        p = p * r + 1.0 / 3628800.0
        p = p * r + 1.0 / 362880.0
        p = p * r + 1.0 / 40320.0
        p = p * r + 1.0 / 5040.0
        p = p * r + 1.0 / 720.0
        p = p * r + 1.0 / 120.0
        p = p * r + 1.0 / 24.0
        p = p * r + 1.0 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        x[i] = p * r + 1.0
    for i in range(n):
        bits[i] = (bits[i] << 52) + (1023 << 52)
    for i in range(n):
        x[i] *= scratch[i]


@JIT
def _activate(code, h, slopes, work):
    """The activation in place of ``h``, and its derivative, ``shape=(n,)`` both."""
    n = len(h)
    gates = work.gates[:n]
    sign = 2.0 if code == TANH else 1.0
    for i in range(n):
        gates[i] = -sign * h[i]
    _exponentiate(gates, work.scratch, work.bits)
    for i in range(n):
        gates[i] = 1.0 / (1.0 + gates[i])
    if code == SILU:
        for i in range(n):
            value = h[i] * gates[i]
            slopes[i] = gates[i] + value - value * gates[i]
            h[i] = value
    elif code == TANH:
        for i in range(n):
            value = 2.0 * gates[i] - 1.0
            slopes[i] = 1.0 - value * value
            h[i] = value
    elif code == SIGMOID:
        for i in range(n):
            slopes[i] = gates[i] * (1.0 - gates[i])
            h[i] = gates[i]
    else:
        for i in range(n):
            slopes[i] = gates[i]
            h[i] = max(h[i], 0.0) + math.log1p(math.exp(-abs(h[i])))


@JIT
def _add_product(weights: numpy.ndarray, inputs: numpy.ndarray, outputs: numpy.ndarray, begin: int, end: int) -> None:
    """Adds weights ``(n_out, n_in)`` times inputs ``(n_in, n)`` to outputs ``(n_out, n)``, in columns begin to end.

    Four rows at a time: a long row of outputs is then loaded and stored once for four products.
    """
    n_in, n = weights.shape[1], end - begin
    for w in range(weights.shape[0]):
        row = outputs[w, begin:end]
        q = 0
        while q + 4 <= n_in:
            a, b, c, d = weights[w, q], weights[w, q + 1], weights[w, q + 2], weights[w, q + 3]
            of_a, of_b, of_c, of_d = (
                inputs[q, begin:end], inputs[q + 1, begin:end], inputs[q + 2, begin:end], inputs[q + 3, begin:end],
            )  # fmt: skip
            for i in range(n):
                row[i] += a * of_a[i] + b * of_b[i] + c * of_c[i] + d * of_d[i]
            q += 4
        while q < n_in:
            a, of_a = weights[w, q], inputs[q, begin:end]
            for i in range(n):
                row[i] += a * of_a[i]
            q += 1


@JIT
def _differentiate(network, work, d, first, second, found):
    n_pairs, n_lanes, n_first = len(d), work.squares.shape[2], network.n_first
    points, pulls = network.points, work.pulls
    for begin in range(0, n_pairs, n_lanes):
        _place(network, work, d, first, second, begin)
        _measure_distances(network, work)
        _sum_densities(network, work)
        _go_forward(network, work)
        _go_back(network, work)
        _pull(network, work)
        for lane in range(min(n_lanes, n_pairs - begin)):
            pair = begin + lane
            value = 0.0
            for w in range(len(network.last)):
                value += work.deep[-1, w, lane] * network.last[w] + work.deep[0, w, lane] * network.linear[w]
            found.values[pair] = value
            _gather(pulls[:n_first], points[:n_first], first[pair], lane, found.first_torques[pair])
            force = _gather(pulls[n_first:], points[n_first:], second[pair], lane, found.second_torques[pair])
            found.forces[pair, 0], found.forces[pair, 1], found.forces[pair, 2] = force


@JIT
def _place(network, work, d, first, second, begin):
    """The points of the pairs from ``begin`` on; lanes without a pair repeat the last one."""
    points = network.points
    for i in range(len(points)):
        for lane in range(work.places.shape[2]):
            pair = min(begin + lane, len(d) - 1)
            is_first = i < network.n_first
            turn = first[pair] if is_first else second[pair]
            for c in range(3):
                along = turn[c, 0] * points[i, 0] + turn[c, 1] * points[i, 1] + turn[c, 2] * points[i, 2]
                work.places[i, c, lane] = along if is_first else along + d[pair, c]


@JIT
def _measure_distances(network, work):
    """Between all points, and their Gaussians."""
    n_first, n_second, n_lanes = work.squares.shape
    for i in range(n_first):
        for j in range(n_second):
            square, logarithm = work.squares[i, j], work.logarithms[i, j]
            square[:] = 0.0
            for c in range(3):
                one, other, between = work.places[i, c], work.places[n_first + j, c], work.separations[i, j, c]
                for lane in range(n_lanes):
                    between[lane] = other[lane] - one[lane]
                    square[lane] += between[lane] * between[lane]
            for lane in range(n_lanes):
                logarithm[lane] = 0.5 * math.log(square[lane])
            for k in range(len(network.centres)):
                row, centre = work.radial[i, j, k], network.centres[k]
                for lane in range(n_lanes):
                    away = logarithm[lane] - centre
                    row[lane] = -0.5 * network.sharpness * away * away
    _exponentiate(work.radial.reshape(-1), work.scratch, work.bits)


@JIT
def _sum_densities(network, work):
    n_first, n_second, n_radial, n_lanes = work.radial.shape
    work.densities[:] = 0.0
    for i in range(n_first):
        for j in range(n_second):
            for k in range(n_radial):
                row = work.radial[i, j, k]
                of_first, of_second = _find_densities(network, work.densities, i, j, k, n_lanes)
                for lane in range(n_lanes):
                    of_first[lane] += row[lane]
                    of_second[lane] += row[lane]


@JIT
def _find_densities(network, densities, i, j, k, n_lanes):
    """The rows of densities, or of their gradients, to which point i of the first and j of the second body add."""
    j += network.n_first
    of_first = densities[len(network.centres) * network.groups[j] + k, i * n_lanes : (i + 1) * n_lanes]
    of_second = densities[len(network.centres) * network.groups[i] + k, j * n_lanes : (j + 1) * n_lanes]
    return of_first, of_second


@JIT
def _go_forward(network, work):
    """The first layer at each point, the mean, the layers behind it."""
    width, n_lanes = work.deep.shape[1:]
    n_points, start = len(network.points), 0
    for layer in range(len(network.layer_ends)):
        end = network.layer_ends[layer] * n_lanes
        for w in range(width):
            work.hidden[w, start:end] = network.first_biases[layer, w]
        _add_product(network.first_weights[layer], work.densities, work.hidden, start, end)
        start = end
    _activate(network.activation, work.hidden.reshape(-1), work.slopes.reshape(-1), work)
    for w in range(width):
        mean = work.deep[0, w]
        mean[:] = 0.0
        for i in range(n_points):
            row = work.hidden[w, i * n_lanes : (i + 1) * n_lanes]
            for lane in range(n_lanes):
                mean[lane] += row[lane] / n_points
    for layer in range(len(network.weights)):
        for w in range(width):
            work.deep[layer + 1, w, :] = network.biases[layer, w]
        _add_product(network.weights[layer], work.deep[layer], work.deep[layer + 1], 0, n_lanes)
        _activate(network.activation, work.deep[layer + 1].reshape(-1), work.deep_slopes[layer].reshape(-1), work)


@JIT
def _go_back(network, work):
    """From the value to the densities; the slopes of the first layer become gradients on the way."""
    width, n_lanes = work.deep.shape[1:]
    n_points, on_hidden, on_before = len(network.points), work.on_deep[0], work.on_deep[1]
    for w in range(width):
        on_hidden[w, :] = network.last[w]
    for layer in range(len(network.weights) - 1, -1, -1):
        for w in range(width):
            for lane in range(n_lanes):
                on_before[w, lane] = on_hidden[w, lane] * work.deep_slopes[layer, w, lane]
        on_hidden[:] = 0.0
        _add_product(network.transposed[layer], on_before, on_hidden, 0, n_lanes)
    for w in range(width):
        row = on_hidden[w]
        for lane in range(n_lanes):
            row[lane] = (row[lane] + network.linear[w]) / n_points
        for i in range(n_points):
            slope = work.slopes[w, i * n_lanes : (i + 1) * n_lanes]
            for lane in range(n_lanes):
                slope[lane] *= row[lane]
    work.on_densities[:] = 0.0
    start = 0
    for layer in range(len(network.layer_ends)):
        end = network.layer_ends[layer] * n_lanes
        _add_product(network.first_transposed[layer], work.slopes, work.on_densities, start, end)
        start = end


@JIT
def _pull(network, work):
    """What each point pulls at each other: φ_k' / r = -(ln r - m_k) φ_k / (w² r²)."""
    n_first, n_second, n_radial, n_lanes = work.radial.shape
    work.pulls[:] = 0.0
    pull = work.scratch[:n_lanes]
    for i in range(n_first):
        for j in range(n_second):
            square, logarithm = work.squares[i, j], work.logarithms[i, j]
            pull[:] = 0.0
            for k in range(n_radial):
                row, centre = work.radial[i, j, k], network.centres[k]
                on_first, on_second = _find_densities(network, work.on_densities, i, j, k, n_lanes)
                for lane in range(n_lanes):
                    pull[lane] += (on_first[lane] + on_second[lane]) * row[lane] * (logarithm[lane] - centre)
            for lane in range(n_lanes):
                pull[lane] *= -network.sharpness / square[lane]
            for c in range(3):
                between, of_first, of_second = work.separations[i, j, c], work.pulls[i, c], work.pulls[n_first + j, c]
                for lane in range(n_lanes):
                    force = pull[lane] * between[lane]
                    of_first[lane] += force
                    of_second[lane] -= force


@JIT
def _gather(pulls, points, turn, lane, torque):
    """Σ s × Rᵀ f over the points of a body into ``torque``; returns Σ f."""
    torque[:] = 0.0
    fx, fy, fz = 0.0, 0.0, 0.0
    for i in range(len(points)):
        x, y, z = pulls[i, 0, lane], pulls[i, 1, lane], pulls[i, 2, lane]
        fx, fy, fz = fx + x, fy + y, fz + z
        a = turn[0, 0] * x + turn[1, 0] * y + turn[2, 0] * z
        b = turn[0, 1] * x + turn[1, 1] * y + turn[2, 1] * z
        c = turn[0, 2] * x + turn[1, 2] * y + turn[2, 2] * z
        torque[0] += points[i, 1] * c - points[i, 2] * b
        torque[1] += points[i, 2] * a - points[i, 0] * c
        torque[2] += points[i, 0] * b - points[i, 1] * a
    return fx, fy, fz
