"""Internal coordinates of many frames at once, in compiled loops that the processor runs on several frames together.

The formulas are those of :mod:`common.geometry.internal_coordinates`. Everything lies in one flat array of rows, each
``LANES`` numbers long, one for each frame: a row begins at a place that the compiler knows, so that it can see that
rows do not overlap. No function of the mathematical library is called, which would do one frame after the other.
"""

import functools
import math
import typing

import numba

from common.geometry.internal_coordinates import LINEAR_SINE

compile_loop: typing.Any = functools.partial(
    numba.njit,
    fastmath={"contract", "arcp", "nsz", "reassoc"},  # not "nnan" and "ninf": what is not finite must be seen
    cache=True,
    nogil=True,
    error_model="numpy",
)
"""How loops of the pass are compiled: once, and kept beside the module for the processes that follow."""

LANES = 64
"""Frames at most that are handled together."""

# the rows, by what stands in them
X1, Y1, Z1, X2, Y2, Z2, X3, Y3, Z3, X4, Y4, Z4 = (LANES * i for i in range(12))
"""First the vectors between the atoms, then in their place the gradient of the coordinate by each atom."""

COORDINATE, COSINE, SINE = (LANES * i for i in range(12, 15))
"""The coordinate itself, or the cosine and sine of a dihedral."""

SCALE = LANES * 15
"""What the derivative by the coordinate is multiplied with before it is written."""

ENERGY, SLOPE = (LANES * i for i in range(16, 18))
"""Of a term: its energy and the derivative by its coordinate, times ``SCALE``."""

COSINE_N, SINE_N = (LANES * i for i in range(18, 20))
"""Cosine and sine of a multiple of a dihedral."""

N_ROWS = 20

_HALF_TURN = 3.141592653589793
_ARCTANGENT = tuple((-1.0) ** i / (2 * i + 1) for i in range(13))


@compile_loop(inline="always")
def subtract(x, first, second, rows, place, n):
    """Writes the vector from atom ``second`` to atom ``first``, coordinates ``x`` of ``shape=(3 n_atoms, LANES)``."""
    for f in range(n):
        rows[place + f] = x[3 * first, f] - x[3 * second, f]
        rows[place + LANES + f] = x[3 * first + 1, f] - x[3 * second + 1, f]
        rows[place + 2 * LANES + f] = x[3 * first + 2, f] - x[3 * second + 2, f]


@compile_loop()
def compute_distances(x, i, j, rows, n):
    """The distance of atoms i and j, and its gradient by i."""
    subtract(x, i, j, rows, X1, n)
    for f in range(n):
        dx, dy, dz = rows[X1 + f], rows[Y1 + f], rows[Z1 + f]
        r = math.sqrt(dx * dx + dy * dy + dz * dz)
        inverse = 1.0 / r
        rows[COORDINATE + f] = r
        rows[X1 + f] = dx * inverse
        rows[Y1 + f] = dy * inverse
        rows[Z1 + f] = dz * inverse


@compile_loop()
def compute_angles(x, i, j, k, rows, n):
    """The angle at atom j, and its gradients by i (first) and k (third).

    An acute angle, or what an obtuse one lacks to π, is halved three times, by tan(θ/2) = sin θ / (1 + cos θ) and then
    tan(θ/2) = tan θ / (1 + sqrt(1 + tan² θ)). The tangent is at most 0.2 then, where thirteen terms of the Taylor
    series of arctan are exact to rounding.
    """
    subtract(x, i, j, rows, X1, n)
    subtract(x, k, j, rows, X3, n)
    for f in range(n):
        ux, uy, uz = rows[X1 + f], rows[Y1 + f], rows[Z1 + f]
        vx, vy, vz = rows[X3 + f], rows[Y3 + f], rows[Z3 + f]
        wx, wy, wz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        uu, vv = ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz
        uv, area = ux * vx + uy * vy + uz * vz, math.sqrt(wx * wx + wy * wy + wz * wz)
        tangent = area / (math.sqrt(area * area + uv * uv) + abs(uv))
        tangent = tangent / (1.0 + math.sqrt(1.0 + tangent * tangent))
        tangent = tangent / (1.0 + math.sqrt(1.0 + tangent * tangent))
        z = tangent * tangent
        c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12 = _ARCTANGENT
        series = c8 + z * (c9 + z * (c10 + z * (c11 + z * c12)))
        series = c0 + z * (c1 + z * (c2 + z * (c3 + z * (c4 + z * (c5 + z * (c6 + z * (c7 + z * series)))))))
        acute = 8.0 * tangent * series
        rows[COORDINATE + f] = acute if uv >= 0.0 else _HALF_TURN - acute
        inverse = 1.0 / area if area > LINEAR_SINE * math.sqrt(uu * vv) else 0.0
        first, third = inverse / uu, inverse / vv
        rows[X1 + f] = (uy * wz - uz * wy) * first
        rows[Y1 + f] = (uz * wx - ux * wz) * first
        rows[Z1 + f] = (ux * wy - uy * wx) * first
        rows[X3 + f] = (wy * vz - wz * vy) * third
        rows[Y3 + f] = (wz * vx - wx * vz) * third
        rows[Z3 + f] = (wx * vy - wy * vx) * third
    for f in range(n):
        rows[X2 + f] = -rows[X1 + f] - rows[X3 + f]
        rows[Y2 + f] = -rows[Y1 + f] - rows[Y3 + f]
        rows[Z2 + f] = -rows[Z1 + f] - rows[Z3 + f]


@compile_loop()
def compute_dihedrals(x, i, j, k, m, rows, n):
    """Cosine and sine of the dihedral of atoms i, j, k, m, and the gradients of the angle by each of the four."""
    subtract(x, i, j, rows, X1, n)
    subtract(x, j, k, rows, X2, n)
    subtract(x, m, k, rows, X4, n)
    for f in range(n):
        fx, fy, fz = rows[X1 + f], rows[Y1 + f], rows[Z1 + f]
        gx, gy, gz = rows[X2 + f], rows[Y2 + f], rows[Z2 + f]
        hx, hy, hz = rows[X4 + f], rows[Y4 + f], rows[Z4 + f]
        ax, ay, az = fy * gz - fz * gy, fz * gx - fx * gz, fx * gy - fy * gx
        bx, by, bz = hy * gz - hz * gy, hz * gx - hx * gz, hx * gy - hy * gx
        aa, bb, gg = ax * ax + ay * ay + az * az, bx * bx + by * by + bz * bz, gx * gx + gy * gy + gz * gz
        ff, hh = fx * fx + fy * fy + fz * fz, hx * hx + hy * hy + hz * hz
        fg, hg = fx * gx + fy * gy + fz * gz, hx * gx + hy * gy + hz * gz
        length = math.sqrt(gg)
        cosine = ax * bx + ay * by + az * bz
        sine = ((by * az - bz * ay) * gx + (bz * ax - bx * az) * gy + (bx * ay - by * ax) * gz) / length
        norm = math.sqrt(cosine * cosine + sine * sine)
        has_direction = norm > 0.0
        inverse = 1.0 / (norm if has_direction else 1.0)
        rows[COSINE + f] = cosine * inverse if has_direction else 1.0
        rows[SINE + f] = sine * inverse
        limit = LINEAR_SINE * LINEAR_SINE * gg
        is_defined = (aa > limit * ff) & (bb > limit * hh)
        inverse_a = (1.0 if is_defined else 0.0) / (aa if is_defined else 1.0)
        inverse_b = (1.0 if is_defined else 0.0) / (bb if is_defined else 1.0)
        p, q = length * inverse_a, length * inverse_b
        s, t = fg * inverse_a / length, hg * inverse_b / length
        x_1, y_1, z_1 = -ax * p, -ay * p, -az * p
        x_4, y_4, z_4 = bx * q, by * q, bz * q
        sx, sy, sz = ax * s - bx * t, ay * s - by * t, az * s - bz * t
        rows[X1 + f], rows[Y1 + f], rows[Z1 + f] = x_1, y_1, z_1
        rows[X2 + f], rows[Y2 + f], rows[Z2 + f] = sx - x_1, sy - y_1, sz - z_1
        rows[X3 + f], rows[Y3 + f], rows[Z3 + f] = -sx - x_4, -sy - y_4, -sz - z_4
        rows[X4 + f], rows[Y4 + f], rows[Z4 + f] = x_4, y_4, z_4


@compile_loop()
def multiply_dihedrals(rows, periodicity, n):
    """Cosine and sine of ``periodicity`` times the dihedral, by the theorems of addition."""
    if periodicity == 0:
        for f in range(n):
            rows[COSINE_N + f], rows[SINE_N + f] = 1.0, 0.0
        return
    for f in range(n):
        rows[COSINE_N + f], rows[SINE_N + f] = rows[COSINE + f], rows[SINE + f]
    for _ in range(abs(periodicity) - 1):
        for f in range(n):
            c, s = rows[COSINE_N + f], rows[SINE_N + f]
            rows[COSINE_N + f] = c * rows[COSINE + f] - s * rows[SINE + f]
            rows[SINE_N + f] = s * rows[COSINE + f] + c * rows[SINE + f]
    if periodicity < 0:
        for f in range(n):
            rows[SINE_N + f] = -rows[SINE_N + f]
