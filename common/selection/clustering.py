"""How far conformers are from one another, and which of them stand for the others.

The root mean square deviation (RMSD) of two conformers after the best superposition needs no rotation, only the largest
eigenvalue of a 4 x 4 matrix: the largest root of its characteristic polynomial, found by Newton steps (Theobald, Acta
Cryst. A61, 478, 2005). With M the 3 x 3 correlation matrix of the centred coordinates and s1 >= s2 >= |s3| its singular
values, s3 < 0 where det M < 0, that root is lambda = s1 + s2 + s3, and the polynomial is

    P(lambda) = (lambda^2 - f)^2 - 8 d lambda - 4 c,    f = |M|^2,  d = det M,  c = |cof M|^2

Two things are added here. The first guess, lambda^2 = f + 2 sqrt(c + 2 d lambda) with an upper bound on the right (an
equation that lambda obeys, and P = 0 squared out), is an upper bound itself and much nearer than the usual one. And
each pair's error is estimated from P' and P'': the few pairs that Newton or rounding leave uncertain (linear molecules,
compact mirror images, conformers so alike that their squared deviation is nothing but rounding) are superposed.
"""

import numpy
from rdkit.ML.Cluster import Butina

BLOCK_SIZE = 80
"""Conformers on either side of a block of pairs: the two dozen arrays of a block stay in a processor's cache."""

N_NEWTON_STEPS = 8
"""Six leave one pair in a hundred of a flexible molecule to be superposed, eight one in a thousand."""

SMALLEST_SLOPE = 1e-6
"""Where P' / lambda^3 is less, two roots are as good as one, rounding moves them by its square root, not in proportion
to P', and no estimate holds."""

RMSD_TOLERANCE = 1e-9
"""[Angstrom] Pairs whose rounding error may be larger are superposed explicitly."""

N_SUPERPOSED_AT_ONCE = 4096
"""Pairs that are superposed explicitly in one go, to bound the memory."""


def compute_rmsd_matrix(coords: numpy.ndarray) -> numpy.ndarray:
    """The RMSD of all pairs of conformers after the best proper rotation and translation; atom i lies on atom i.

    Args:
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.

    Returns:
        [Angstrom] ``shape=(n_confs, n_confs)`` float64, symmetric, zeros on the diagonal.

    Raises:
        ValueError: a coordinate is not finite, or there is no atom.
    """
    n_confs, n_atoms, _ = coords.shape
    if n_atoms == 0 or not numpy.isfinite(coords).all():
        raise ValueError("the RMSD needs at least one atom, and finite coordinates")
    centred = coords.astype(numpy.float64) - coords.mean(axis=1, keepdims=True, dtype=numpy.float64)
    components = numpy.ascontiguousarray(centred.transpose(2, 0, 1))  # x, y, z apart: BLAS takes one pair at a time
    squares = numpy.einsum("cia,cia->i", components, components)
    rmsd = numpy.zeros((n_confs, n_confs))
    for start in range(0, n_confs, BLOCK_SIZE):
        rows = slice(start, start + BLOCK_SIZE)
        for other in range(start, n_confs, BLOCK_SIZE):
            columns = slice(other, other + BLOCK_SIZE)
            block, uncertain = _compute_block(
                components[:, rows], components[:, columns], squares[rows, None] + squares[None, columns]
            )
            if other == start:  # both orders of a pair are here, and may differ in the last digit: one counts
                block, uncertain = numpy.triu(block, 1), numpy.triu(uncertain, 1)
            i, j = numpy.nonzero(uncertain)
            block[i, j] = _superpose(centred, start + i, other + j)
            rmsd[rows, columns] += block
            rmsd[columns, rows] += block.T
    return rmsd


def _compute_block(a: numpy.ndarray, b: numpy.ndarray, squares: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The RMSD [Angstrom] of a block of pairs, and which of them rounding may have spoilt.

    Args:
        a, b: [Angstrom] centred coordinates, ``shape=(3, n_a, n_atoms)`` and ``(3, n_b, n_atoms)``.
        squares: [Angstrom^2] the sums of squared coordinates of both, ``shape=(n_a, n_b)``.
    """
    n_atoms = a.shape[2]
    m = numpy.matmul(a[:, None], b.transpose(0, 2, 1)[None, :])  # (3, 3, n_a, n_b): nine plain matrix products
    f = _dot(m[0], m[0]) + _dot(m[1], m[1]) + _dot(m[2], m[2])
    cofactors = _cross(m[1], m[2])
    d = _dot(m[0], cofactors)
    c = _dot(cofactors, cofactors)
    for k in (1, 2):
        cofactors = _cross(m[k - 2], m[k - 1])
        c += _dot(cofactors, cofactors)
    with numpy.errstate(all="ignore"):  # a vanishing slope gives NaN, which is uncertain below
        eigenvalue, error = _find_eigenvalue(f, c, d, 0.5 * squares)
        rmsd = numpy.sqrt((squares - 2.0 * eigenvalue) / n_atoms)
        error += 8.0 * numpy.finfo(numpy.float64).eps * squares  # of the subtraction
        uncertain = ~(error < RMSD_TOLERANCE * n_atoms * rmsd)
    return rmsd, uncertain


def _find_eigenvalue(
    f: numpy.ndarray, c: numpy.ndarray, d: numpy.ndarray, bound: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The eigenvalue lambda and its estimated error; the symbols are those of the module's docstring.

    P'' > 0 to the right of the largest root: Newton's steps come down to it, and a step s leaves P'' s^2 / (2 P').

    Args:
        f, c, d: arrays of one shape.
        bound: an upper bound of lambda: half the sum of squared coordinates of both conformers.
    """
    eigenvalue = numpy.sqrt(f + 2.0 * numpy.sqrt(c + 2.0 * numpy.maximum(d, 0.0) * bound))
    c4, d8 = 4.0 * c, 8.0 * d
    for _ in range(N_NEWTON_STEPS):
        square = eigenvalue * eigenvalue
        gap = square - f
        slope = 4.0 * eigenvalue * gap - d8
        step = (gap * gap - d8 * eigenvalue - c4) / slope
        eigenvalue = eigenvalue - step
    # Twice what is missing, to be safe; and what rounding the terms of P, none larger than lambda^4, may have moved.
    missing = (12.0 * square - 4.0 * f) / slope * step * step
    rounding = 8.0 * numpy.finfo(numpy.float64).eps * square * square / slope
    is_single = slope > SMALLEST_SLOPE * square * eigenvalue
    return eigenvalue, numpy.where(is_single, missing + rounding, numpy.inf)


Vectors = numpy.ndarray | tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]
"""Their three components, one array each."""


def _dot(u: Vectors, v: Vectors) -> numpy.ndarray:
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


def _cross(u: Vectors, v: Vectors) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]


def _superpose(centred: numpy.ndarray, i: numpy.ndarray, j: numpy.ndarray) -> numpy.ndarray:
    """The RMSD [Angstrom] of pairs of centred conformers from the distances that the best rotation leaves.

    The rotation is Kabsch's (Acta Cryst. A32, 922, 1976). An error in it counts only in second order, and no large
    numbers are subtracted: this keeps all digits of the smallest RMSD.
    """
    rmsd = numpy.empty(len(i))
    for start in range(0, len(i), N_SUPERPOSED_AT_ONCE):
        chunk = slice(start, start + N_SUPERPOSED_AT_ONCE)
        a, b = centred[i[chunk]], centred[j[chunk]]
        u, _, vt = numpy.linalg.svd(a.transpose(0, 2, 1) @ b)
        u[:, :, 2] *= numpy.sign(numpy.linalg.det(u) * numpy.linalg.det(vt))[:, None]  # no reflection
        rmsd[chunk] = numpy.sqrt(((a @ (u @ vt) - b) ** 2).sum(axis=2).mean(axis=1))
    return rmsd


def cluster_butina(rmsd: numpy.ndarray, threshold: float) -> list[tuple[int, ...]]:
    """Clusters around the conformer that has the most neighbours left, again and again (Butina, JCICS 39, 747, 1999).

    Args:
        rmsd: [Angstrom] ``shape=(n_confs, n_confs)``, as :func:`compute_rmsd_matrix` gives.
        threshold: [Angstrom] conformers at this distance or nearer are neighbours.

    Returns:
        the clusters, each with its centre first, as RDKit orders them.
    """
    return list(Butina.ClusterData(rmsd, len(rmsd), threshold, isDistData=True, reordering=True))
