"""How far conformers are from one another, and which of them stand for the others.

The root mean square deviation (RMSD) of two conformers after the best superposition needs no rotation, only the largest
eigenvalue of a 4 x 4 matrix (Horn, J. Opt. Soc. Am. A 4, 629, 1987; Theobald, Acta Cryst. A61, 478, 2005), which is
the sum of the singular values of the 3 x 3 correlation matrix M of the centred coordinates, the smallest one negative
where det M is. With

    lambda = s1 + s2 + s3,   f = s1^2 + s2^2 + s3^2 = |M|^2,   p = s1 s2 + s2 s3 + s3 s1,
    c2 = (s1 s2)^2 + (s2 s3)^2 + (s3 s1)^2 = |cof M|^2,   det M = s1 s2 s3

one has lambda^2 = f + 2 p and p^2 = c2 + 2 lambda det M, so that lambda is the fixed point of

    F(lambda) = sqrt(f + 2 sqrt(c2 + 2 lambda det M)).

Where p > 0 there is just one, and where det M >= 0 nothing cancels and 0 <= F' <= 1/9: a few Newton steps reach the
last digit, in some hundred array operations for a block of pairs. The pairs for which that is not so (p <= 0 in mirror
images, p -> 0 in linear molecules, or conformers so alike that their squared deviation is rounding) are recognised
and superposed explicitly.
"""

import numpy
from rdkit.ML.Cluster import Butina

BLOCK_SIZE = 128
"""Conformers on either side of a block of pairs: the two dozen arrays of a block stay in a processor's cache."""

N_NEWTON_STEPS = 4
"""With three, half of the pairs of a flexible molecule have not converged and go the slower way; with four, few."""

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
            i, j = numpy.nonzero(uncertain)
            block[i, j] = _superpose(centred, start + i, other + j)
            rmsd[rows, columns] = block
            rmsd[columns, rows] = block.T
    numpy.fill_diagonal(rmsd, 0.0)
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
    twice_det = 2.0 * _dot(m[0], cofactors)
    c2 = _dot(cofactors, cofactors)
    for k in (1, 2):
        cofactors = _cross(m[k - 2], m[k - 1])
        c2 += _dot(cofactors, cofactors)
    with numpy.errstate(all="ignore"):  # p^2 < 0 and p = 0 give NaN, which is uncertain below
        eigenvalue, p, error = _find_eigenvalue(f, c2, twice_det, 0.5 * squares)
        msd = (squares - 2.0 * eigenvalue) / n_atoms
        rmsd = numpy.sqrt(msd)
        # Rounding leaves errors of epsilon |M|^3 in det M and epsilon |M|^2 in cofactors, hence of about
        # epsilon f^2 / (p lambda) in lambda; lambda's error over n_atoms * rmsd is the error of the RMSD.
        rounding = 8.0 * numpy.finfo(numpy.float64).eps * (squares + f * f / (p * eigenvalue))
        uncertain = ~(error + rounding < RMSD_TOLERANCE * n_atoms * rmsd)
    return rmsd, uncertain


def _find_eigenvalue(f, c2, twice_det, bound) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """lambda, p, and the size of the last Newton step; the symbols are those of the module's docstring.

    Args:
        f, c2, twice_det: |M|^2, |cof M|^2 and 2 det M, arrays of one shape.
        bound: an upper bound of lambda: half the sum of squared coordinates of both conformers.
    """
    eigenvalue = bound
    for _ in range(N_NEWTON_STEPS):
        p = numpy.sqrt(c2 + twice_det * eigenvalue)
        image = numpy.sqrt(f + 2.0 * p)
        slope = 0.5 * twice_det / (p * image)
        step = (eigenvalue - image) / (1.0 - slope)
        eigenvalue = eigenvalue - step
    return eigenvalue, p, numpy.abs(step)


def _dot(u: numpy.ndarray, v: numpy.ndarray) -> numpy.ndarray:
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


def _cross(u: numpy.ndarray, v: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
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
